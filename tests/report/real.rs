//! Runs that were recorded.
