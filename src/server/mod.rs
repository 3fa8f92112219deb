//! The server engine.
