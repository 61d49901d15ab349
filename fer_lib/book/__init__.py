"""What the book needs beside its pages: execution, links, exercises, the speed table."""
