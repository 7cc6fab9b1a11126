"""What a finished run tells, in sentences, and which recipes its figures call for next. Needs no TensorFlow."""
