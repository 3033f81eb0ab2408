"""Whisper on onnxruntime: from published weights to text.

`weights` reads what was published, `graphs` and `build` make ONNX of it, `spectrogram` is the front end, `vocabulary` the
tokens, `model` the two networks at work.
"""
