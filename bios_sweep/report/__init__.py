"""What people see: summaries of a sweep as tables, Markdown, figures and a live view."""
