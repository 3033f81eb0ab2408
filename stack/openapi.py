def document(x): return {}
