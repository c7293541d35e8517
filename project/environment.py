"""The environment, and `.env`, which never overrides it: read once, for every file of the project."""

from pathlib import Path

from environs import Env, validate

BASE_DIR = Path(__file__).resolve().parent.parent

env = Env()
env.read_env(str(BASE_DIR / ".env"), recurse=False)

DEBUG = env.bool("DEBUG", default=False)

web_address = validate.Regexp(r"^(https?://[^/\s]+\S*)?$")  # or none
