"""CraftGPT: the GPT that sammyuri built of redstone in Minecraft (2025), its number formats, ROM files and arithmetic.

`opening` reads and writes models, `rom` the 555 files, `numbers` what their bytes stand for, `quantise` rounds a model
to them, `emulator` computes as the machine does, bit for bit, `comparison` tells how far that is from float arithmetic.
The facts are those of sammyuri's emulator (MIT; mirror constantpi/craftgpt); the code is our own.
"""
