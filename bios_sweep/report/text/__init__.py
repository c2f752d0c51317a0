"""What is told as text: terminal, Markdown, HTML."""
