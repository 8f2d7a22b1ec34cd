"""``python -m pickllm``: the command line, where scripts are not on the path."""

from pickllm.cli import main

if __name__ == "__main__":
    main()
