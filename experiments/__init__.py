"""The harness: workload x mode x instrument -> trial -> fresh process -> record -> report."""
