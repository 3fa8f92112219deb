//! Reads the kernel: one file per source, all opened before the ramp and re-read with `pread` at offset 0.

pub mod sample;
