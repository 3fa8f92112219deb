//! The `c1m-top` binary: everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    c1m_top::app::main()
}
