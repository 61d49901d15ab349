"""The paper's network and its training, resumable to the bit; stacks of layers as plain geometry."""
