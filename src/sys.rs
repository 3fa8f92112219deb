//! Every `unsafe` line of the program.
