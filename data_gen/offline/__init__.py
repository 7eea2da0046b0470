"""The offline writer: documents from templates, for whoever has no LLM API to ask."""

from data_gen.offline.writer import MANIFEST_FILE, PLOTS, STORIES_FILE, plan_story, tell, write_corpus, write_story

__all__ = ["MANIFEST_FILE", "PLOTS", "STORIES_FILE", "plan_story", "tell", "write_corpus", "write_story"]
