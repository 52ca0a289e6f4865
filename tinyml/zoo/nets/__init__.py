"""The networks themselves, in Keras, one module to a family.

Importing them loads TensorFlow: it is done in the worker only.
"""
