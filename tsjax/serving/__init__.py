"""A run behind the interface of OpenAI's API: `ask` reads what is asked, `writing` has the engine write it, `answer` gives
it the interface's shapes, `app` is the server, `page.html` its one page. Only `app` needs the extra `serve`."""
