//! All detectors of some settings as one automaton.
