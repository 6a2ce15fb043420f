"""Goals without the model: what a cell says, the graph, the journal, the model's short note."""
