"""The sections of `print`: each as text and as a JSON document (print.md)."""
