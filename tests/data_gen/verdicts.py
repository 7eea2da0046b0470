"""Answers that a reader would take or leave at once, each with the reason that must be given, "" for a good one.

Texts are put around or into a good story, so that nothing else is wrong with them.
"""

STORY = """One day, Tom saw a dog in the park. The dog was big and happy. "Can you run?" asked Tom. The dog ran to him.

Tom gave the dog a bone. They played all day, and then they went home. Mom was glad to see them."""

STORIES = [
    # What is no part of a story
    (f"{STORY}\n\n{STORY}", "repeats"),
    (f"Okay! Here we go.\n\n{STORY}", "meta:preamble"),
    (f"Okay! Here we go. {STORY}", "meta:preamble"),
    (f"Here's one:\n\n{STORY}", "meta:preamble"),
    (f"Here it is!\n\n{STORY}", "meta:preamble"),
    (f"I'd be happy to help! Here is a story.\n\n{STORY}", "meta:preamble"),
    (f"I’d be happy to help! Here is a story.\n\n{STORY}", "meta:preamble"),
    (f"{STORY}\n\nI used all three words: dog, run, and happy.", "meta:note"),
    (f"{STORY}\n\n(The words used are: dog, run, happy)", "meta:note"),
    (f"{STORY}\n\nIs there anything else I can help you with?", "meta:closer"),
    (f"{STORY} Is there anything else I can help you with?", "meta:closer"),
    (f"{STORY}\n\nWould you like another one?", "meta:closer"),
    (f"{STORY} Would you like another one?", "meta:closer"),
    (f"The Happy Dog.\n\n{STORY}", "meta:title"),
    (f"Max and the Ball!\n\n{STORY}", "meta:title"),
    (f"The Dog Who Ran.\n\n{STORY}", "meta:title"),
    (f"Assistant: {STORY}", "meta:role"),
    (f"[INST] write a story [/INST] {STORY}", "meta:mark"),
    (STORY.replace("big", "<b>big</b>"), "meta:markup"),
    (f"{STORY}\n\n- dog\n- bone\n- park.", "meta:list"),
    (f"{STORY}\n\n1. A dog ran.\n2. A boy sat.", "meta:list"),
    (f"Paragraph 1: {STORY}", "meta:heading"),
    (f'{{"story": "{STORY[:40]}"}}\n{STORY}', "meta:json"),
    (STORY.upper(), "meta:case"),
    (STORY.lower(), "meta:case"),
    (f"he {STORY}", "meta:case"),
    (f"***\n{STORY}", "meta:heading"),
    (STORY.replace("Tom saw", "[Your Name] saw"), "meta:placeholder"),
    (STORY.replace("Tom saw", "<name> saw"), "meta:placeholder"),
    (STORY.replace("Tom saw", "XXXX saw"), "meta:placeholder"),
    # No story at all
    ("I won't be able to tell this story.", "refusal"),
    ("I'm not able to tell a story about that.", "refusal"),
    ("Sorry, no.", "refusal"),
    ("I'm sorry, but as an AI, I can't help with that.", "refusal"),
    ("\"I'm sorry, but I can't help with that.\"", "refusal"),
    # For no child
    (f"{STORY} Tom was killed with a gun, and there was blood everywhere.", "unsuitable"),
    (f"{STORY} The man stabbed him, and he bled to death.", "unsuitable"),
    (f"{STORY} Then Dad drank beer all night and got drunk.", "unsuitable"),
    (f"{STORY} It was a murder.", "unsuitable"),
    # Nothing wrong with these
    (STORY, ""),
    (f"{STORY}\n\n***\n\nThe next day, the dog came again.", ""),
    (f"{STORY}\n\n* * *\n\nThe next day, the dog came again.", ""),
    (f'"I cannot help it!" cried the dog.\n\n{STORY}', ""),
    (f"Here is the tale of a happy dog.\n\n{STORY}", ""),
    (f"This is Tim.\n\n{STORY}", ""),
    (f"Splash!\n\n{STORY}", ""),
    (f'"Hello, Tim!"\n\n{STORY}', ""),
    (f"Meet Max.\n\n{STORY}", ""),
    (f'{STORY} "Would you like another one?" asked Mom.', ""),
    (f'{STORY}\n\n"Is there anything else?" asked Mom.', ""),
    (f"{STORY} Waiting for the cake was torture.", ""),
    (f"{STORY} They saw a murder of crows.", ""),
    (f"{STORY} Mom had nude shoes.", ""),
    (f"{STORY} Gore was his name.", ""),
    (f"{STORY} They drank root beer and played with a toy gun.", ""),
    (f"{STORY} The milk was drunk by the cat.", ""),
    (f"{STORY} There was a little blood on his knee.", ""),
    (f"{STORY} Grandpa had a size XXXL shirt.", ""),
    (f"{STORY} \U0001f600", ""),
    (f"{STORY[:-1]} \U0001f600\u2764\ufe0f", ""),
]

HELLO = ("Where is my order?", "It left our shop today. Your order number is 48213.")
CHATS = [
    ((*HELLO, "Can you help me?", "I'm sorry, but as an AI, I can't help with that."), "refusal"),
    ((*HELLO, *HELLO), "repeats"),
    (("Anna: Where is my order?", "Ben: It left our shop today."), "meta:role"),
    (("Where is my order?", '{"messages": [{"role": "user", "content": "Hi."}]}'), "meta:json"),
    (("Hi, I am [Your Name].", "Hello."), "meta:placeholder"),
    (("My order is [Order Number].", "Thank you."), "meta:placeholder"),
    (("It came on [date].", "Thank you."), "meta:placeholder"),
    (("I am <name>.", "Thank you."), "meta:placeholder"),
    (("My order is XXXX.", "Thank you."), "meta:placeholder"),
    (("My number is 555-XXX.", "Thank you."), "meta:placeholder"),
    (HELLO, ""),
    ((HELLO[0], "Your order number is 48213"), ""),
    ((HELLO[0], "It is on its way \U0001f600"), ""),
    ((HELLO[0], "It is on its way! \U0001f600"), ""),
    ((HELLO[0], "It is on its way :)"), ""),
    (("How do I reset it?", "Go to Settings → Wi-Fi → Reset."), ""),
    (("Note: it is late.", "Thank you for the note."), ""),
    (("ok", "Good.", "ok", "Bye."), ""),
]  # fmt: skip
