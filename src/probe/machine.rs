//! Which machine it is, through sysinfo: read once at the start, never with a sample.

use sysinfo::{CpuRefreshKind, System};

use crate::sample::Machine;

/// This machine.
pub fn machine() -> Machine {
    let filled = |text: &str| Some(text.trim()).filter(|text| !text.is_empty()).map(ToOwned::to_owned);
    let mut system = System::new().ok();
    let cores = system.as_mut().map_or(&[][..], |system| {
        system.refresh_cpu_list(CpuRefreshKind::nothing());
        system.cpus()
    });
    let words = [System::name().ok(), System::os_version().ok()];
    Machine {
        host_name: System::host_name().ok().as_deref().and_then(filled),
        cores: Some(cores.len()).filter(|n| *n > 0),
        cpu: cores.first().and_then(|core| filled(core.brand())),
        distribution: filled(&words.into_iter().flatten().collect::<Vec<_>>().join(" ")),
        kernel: System::kernel_version().ok().as_deref().and_then(filled),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_what_the_kernel_says() {
        let read = |file: &str| std::fs::read_to_string(format!("/proc/{file}")).unwrap();
        let machine = machine();
        assert_eq!(machine.host_name.as_deref(), Some(read("sys/kernel/hostname").trim()));
        assert_eq!(machine.kernel.as_deref(), Some(read("sys/kernel/osrelease").trim()));
        let cores = read("stat").lines().filter(|l| l.starts_with("cpu") && !l.starts_with("cpu ")).count();
        assert_eq!(machine.cores, Some(cores));
    }
}
