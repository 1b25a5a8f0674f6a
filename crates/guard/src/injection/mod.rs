//! Attempts to give a model other orders: rules that give a text a score.
