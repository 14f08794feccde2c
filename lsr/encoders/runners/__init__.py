"""What runs one side of an encoder: torch, onnxruntime, or a look-up?"""
