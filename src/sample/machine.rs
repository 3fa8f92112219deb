//! Which machine it is: what does not change while a program runs.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A machine, for people; what cannot be read is `None`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Machine {
    /// Its host name.
    pub host_name: Option<String>,
    /// Cores that are online.
    pub cores: Option<usize>,
    /// Model of the first core.
    pub cpu: Option<String>,
    /// Name and version: `Debian GNU/Linux 12`.
    pub distribution: Option<String>,
    /// Release of the kernel: `6.18.5`.
    pub kernel: Option<String>,
}

impl Machine {
    /// Host name and cores: what tells two screens apart.
    pub fn short(&self) -> Option<String> {
        let parts: Vec<String> = self.host_name.clone().into_iter().chain(self.cores()).collect();
        (!parts.is_empty()).then(|| parts.join(", "))
    }

    fn cores(&self) -> Option<String> {
        self.cores.map(|n| if n == 1 { "1 core".to_owned() } else { format!("{n} cores") })
    }
}

/// All that is known, in a row.
impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kernel = self.kernel.as_ref().map(|release| format!("Linux {release}"));
        let rest = [self.cpu.clone(), self.distribution.clone(), kernel];
        f.write_str(&self.short().into_iter().chain(rest.into_iter().flatten()).collect::<Vec<_>>().join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_unknown_is_left_out() {
        let text = |s: &str| Some(s.to_owned());
        let all = Machine {
            host_name: text("web-1"),
            cores: Some(2),
            cpu: text("EPYC"),
            distribution: text("Debian GNU/Linux 12"),
            kernel: text("6.18.5"),
        };
        let unnamed = Machine { host_name: None, cores: Some(1), cpu: None, ..all.clone() };
        for (machine, short, long) in [
            (&all, Some("web-1, 2 cores"), "web-1, 2 cores, EPYC, Debian GNU/Linux 12, Linux 6.18.5"),
            (&unnamed, Some("1 core"), "1 core, Debian GNU/Linux 12, Linux 6.18.5"),
            (&Machine::default(), None, ""),
        ] {
            assert_eq!((machine.short().as_deref(), machine.to_string().as_str()), (short, long));
        }
    }
}
