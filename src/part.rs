//! Parts of a run: the same command line on several hosts, each of which takes its share, with no network between them.
//!
//! Everything here is a pure function of the part and of what the whole run was asked for, so that parts that never hear of one
//! another add up to it exactly.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// One part of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Written")]
pub struct Part {
    /// Which part, from 1.
    pub number: u32,
    /// How many there are.
    pub of: u32,
    /// What said so.
    pub from: Origin,
}

/// A part as it was written, by whomever.
#[derive(Deserialize)]
struct Written {
    number: u32,
    of: u32,
    from: Origin,
}

impl TryFrom<Written> for Part {
    type Error = String;

    fn try_from(Written { number, of, from }: Written) -> Result<Self, String> {
        if (1..=Self::MOST).contains(&of) && (1..=of).contains(&number) {
            Ok(Self { number, of, from })
        } else {
            Err(format!("{number}/{of} is no part: a run has 1 to {}, counted from 1", Self::MOST))
        }
    }
}

/// Where a part was taken from: the option, or the variable in which a launcher says which of its tasks this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Origin {
    /// The command line.
    #[serde(rename = "--part")]
    Option,
    /// Open MPI.
    #[serde(rename = "OMPI_COMM_WORLD_RANK")]
    OpenMpi,
    /// Slurm, a task of a step.
    #[serde(rename = "SLURM_PROCID")]
    SlurmTask,
    /// Slurm, a job of an array.
    #[serde(rename = "SLURM_ARRAY_TASK_ID")]
    SlurmArray,
    /// Kubernetes, a pod of an indexed job.
    #[serde(rename = "JOB_COMPLETION_INDEX")]
    Kubernetes,
    /// Nomad, an allocation of a group.
    #[serde(rename = "NOMAD_ALLOC_INDEX")]
    Nomad,
}

impl Origin {
    /// The option or the variable.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Option => "--part",
            Self::OpenMpi => "OMPI_COMM_WORLD_RANK",
            Self::SlurmTask => "SLURM_PROCID",
            Self::SlurmArray => "SLURM_ARRAY_TASK_ID",
            Self::Kubernetes => "JOB_COMPLETION_INDEX",
            Self::Nomad => "NOMAD_ALLOC_INDEX",
        }
    }
}

/// `part 3 of 7`.
impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "part {} of {}", self.number, self.of)
    }
}

/// `2/5`, counted from 1.
impl FromStr for Part {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("'{text}' is not a part; write for example 2/5, the second of five, or auto");
        let (number, of) = text.split_once('/').ok_or_else(wrong)?;
        let (number, of) = (digits(number).ok_or_else(wrong)?, digits(of).ok_or_else(wrong)?);
        if of == 0 || of > Self::MOST {
            return Err(format!("'{text}': a run has 1 to {} parts", Self::MOST));
        }
        if number == 0 || number > of {
            return Err(format!("'{text}': parts are counted from 1 to {of}"));
        }
        Ok(Self { number, of, from: Origin::Option })
    }
}

/// A number without a sign, which `parse` would take.
fn digits(text: &str) -> Option<u32> {
    text.parse().ok().filter(|_| text.bytes().all(|b| b.is_ascii_digit()))
}

impl Part {
    /// More parts than any run has.
    pub const MOST: u32 = 1_000_000;

    /// The part that the launcher of this process says it is; `variable` reads the environment, `parts` is what `--parts` says.
    ///
    /// Of several launchers the innermost counts, which is the one that started this process: `mpirun` under Slurm starts one
    /// process a rank. A job array without tasks of its own (`SLURM_NTASKS` is 1) is one run of as many parts as it has jobs;
    /// where each of its jobs has several tasks, each job is a run.
    ///
    /// # Errors
    /// One line: there is no launcher, or what it says cannot be.
    pub fn of_launcher(parts: Option<u32>, variable: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        let found = Launched::look(&variable)?;
        let Launched { index, of, from } = found.ok_or_else(|| {
            "--part auto: no launcher has started this process (none of OMPI_COMM_WORLD_RANK, SLURM_PROCID, \
             JOB_COMPLETION_INDEX and NOMAD_ALLOC_INDEX is set): write --part 2/5"
                .to_owned()
        })?;
        let name = from.name();
        let of = match (of, parts) {
            (Some(of), Some(parts)) if of != parts => {
                return Err(format!(
                    "--parts {parts}: the launcher has started {of} (beside {name}): leave --parts out"
                ));
            }
            (Some(of), _) | (None, Some(of)) => of,
            (None, None) => {
                return Err(format!("--part auto: {name} does not say how many parts there are: add --parts N"));
            }
        };
        if of == 0 || of > Self::MOST {
            return Err(format!("--part auto: {of} parts beside {name}: a run has 1 to {}", Self::MOST));
        }
        if index >= of {
            return Err(format!("--part auto: {name} is {index}, and counts {of} parts from 0 to {}", of - 1));
        }
        Ok(Self { number: index + 1, of, from })
    }

    /// How many of so many things are this part's: they differ by one at most, and add up.
    pub fn share(self, whole: u64) -> u64 {
        let range = self.range(whole);
        range.end - range.start
    }

    /// Which of so many things, counted from 0, are this part's: the first parts have one more where they do not come out even.
    pub fn range(self, whole: u64) -> Range<u64> {
        let (at, of) = (u64::from(self.number - 1), u64::from(self.of));
        let start = |at: u64| at * (whole / of) + at.min(whole % of);
        start(at)..start(at + 1)
    }

    /// This part's things. Where there are fewer than parts, several parts share one: who shares is told by the second value,
    /// this part's place among those that do.
    pub fn of_list<T: Clone>(self, list: &[T]) -> (Vec<T>, Option<Self>) {
        let (n, of) = (list.len() as u64, u64::from(self.of));
        if n == 0 {
            return (Vec::new(), None);
        }
        if n >= of {
            let range = self.range(n);
            let (start, end) = (usize::try_from(range.start), usize::try_from(range.end));
            let own = start.ok().zip(end.ok()).and_then(|(start, end)| list.get(start..end));
            return (own.unwrap_or_default().to_vec(), None);
        }
        // The things are dealt to the parts as parts are to things elsewhere: each has some of the parts, in a row.
        let at = u64::from(self.number - 1);
        let sharers = |i: usize| {
            let of = u32::try_from(n).unwrap_or(u32::MAX);
            Self { number: u32::try_from(i + 1).unwrap_or(of), of, ..self }.range(u64::from(self.of))
        };
        let found = (0..list.len()).map(|i| (i, sharers(i))).find(|(_, range)| range.contains(&at));
        let Some((i, range)) = found else { return (Vec::new(), None) };
        let narrow = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
        let place = Self { number: narrow(at - range.start) + 1, of: narrow(range.end - range.start), ..self };
        (vec![list[i].clone()], (place.of > 1).then_some(place))
    }
}

/// What a launcher says.
struct Launched {
    /// From 0.
    index: u32,
    /// How many, where it says so.
    of: Option<u32>,
    from: Origin,
}

impl Launched {
    fn look(variable: &impl Fn(&str) -> Option<String>) -> Result<Option<Self>, String> {
        let number = |name: &str| -> Result<Option<u32>, String> {
            let Some(text) = variable(name) else { return Ok(None) };
            let n = digits(text.trim());
            n.map(Some).ok_or_else(|| format!("--part auto: {name} is '{text}', which is no number from 0"))
        };
        let counted = |from: Origin, size: &str| -> Result<Option<Self>, String> {
            let Some(index) = number(from.name())? else { return Ok(None) };
            let of = number(size)?;
            let of = of.ok_or_else(|| format!("--part auto: {} is set, and {size} is not", from.name()))?;
            Ok(Some(Self { index, of: Some(of), from }))
        };
        if let Some(found) = counted(Origin::OpenMpi, "OMPI_COMM_WORLD_SIZE")? {
            return Ok(Some(found));
        }
        let array = variable(Origin::SlurmArray.name()).is_some();
        // Slurm sets both for the jobs of an array; without `--ntasks` it does not count the only task of a job.
        let tasks = number("SLURM_NTASKS")?;
        if array && tasks.is_none_or(|tasks| tasks <= 1) {
            return Self::of_array(number).map(Some);
        }
        if let Some(found) = counted(Origin::SlurmTask, "SLURM_NTASKS")? {
            return Ok(Some(found));
        }
        for from in [Origin::Kubernetes, Origin::Nomad] {
            if let Some(index) = number(from.name())? {
                return Ok(Some(Self { index, of: None, from }));
            }
        }
        Ok(None)
    }

    /// A job of an array, by its place: an array's numbers may begin anywhere and leave some out, evenly.
    fn of_array(number: impl Fn(&str) -> Result<Option<u32>, String>) -> Result<Self, String> {
        let needed = |name: &str| {
            number(name)?.ok_or_else(|| format!("--part auto: SLURM_ARRAY_TASK_ID is set, and {name} is not"))
        };
        let from = Origin::SlurmArray;
        let (id, of) = (needed(from.name())?, needed("SLURM_ARRAY_TASK_COUNT")?);
        let (min, max) = (needed("SLURM_ARRAY_TASK_MIN")?, needed("SLURM_ARRAY_TASK_MAX")?);
        let steps = of.saturating_sub(1).max(1);
        let step = max.saturating_sub(min).checked_div(steps).unwrap_or(1).max(1);
        let even = u64::from(min) + u64::from(step) * u64::from(of.saturating_sub(1)) == u64::from(max);
        let place = id.checked_sub(min).filter(|above| above % step == 0).map(|above| above / step);
        let place = place.filter(|_| even && id <= max);
        let index = place.ok_or_else(|| {
            format!("--part auto: task {id} of an array of {of}, from {min} to {max}: its tasks are not evenly spaced: write --part 2/5")
        })?;
        Ok(Self { index, of: Some(of), from })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn all(of: u32) -> impl Iterator<Item = Part> {
        (1..=of).map(move |number| Part { number, of, from: Origin::Option })
    }

    #[test]
    fn shares_add_up_and_follow_one_another() {
        let wholes = [0, 1, 6, 7, 8, 99, 1_000_000, 1_000_001, 2_500_003, u64::from(u32::MAX), u64::MAX - 3, u64::MAX];
        for whole in wholes {
            for of in (1..=64).chain([97, 1000, 99_991]) {
                let mut next = 0;
                let (mut least, mut most) = (u64::MAX, 0);
                for part in all(of) {
                    let range = part.range(whole);
                    assert_eq!(range.start, next, "{part} of {whole}");
                    next = range.end;
                    (least, most) = (least.min(part.share(whole)), most.max(part.share(whole)));
                }
                assert_eq!(next, whole, "{of} parts");
                assert!(most - least <= 1, "{whole} over {of}: {least} to {most}");
                assert_eq!(least > 0, whole >= u64::from(of), "each has one where there are enough");
            }
        }
        let shares: Vec<u64> = all(7).map(|part| part.share(1_000_001)).collect();
        assert_eq!(shares, [142_858, 142_858, 142_857, 142_857, 142_857, 142_857, 142_857]);
        assert_eq!(shares.iter().sum::<u64>(), 1_000_001);
    }

    #[test]
    fn a_list_is_divided_or_shared_by_neighbours() {
        for n in 0..40_u32 {
            let list: Vec<u32> = (0..n).collect();
            for of in 1..=40 {
                let dealt: Vec<_> = all(of).map(|part| part.of_list(&list)).collect();
                let mut union: Vec<u32> = dealt.iter().flat_map(|(own, _)| own.clone()).collect();
                if n >= of {
                    assert_eq!(union, list, "{n} over {of}: each once, and in order");
                    assert!(dealt.iter().all(|(own, shared)| !own.is_empty() && shared.is_none()));
                } else {
                    union.dedup();
                    assert_eq!(union, list, "{n} over {of}: each, by parts in a row");
                    for one in &list {
                        let places: Vec<_> = dealt.iter().filter(|(own, _)| own == &[*one]).map(|(_, p)| *p).collect();
                        let alone = places.len() == 1;
                        let want = |i: usize| (!alone).then_some((i + 1, places.len()));
                        let got = |p: &Option<Part>| p.map(|p| (p.number as usize, p.of as usize));
                        assert!(places.iter().enumerate().all(|(i, p)| got(p) == want(i)), "{n} over {of}: {places:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_no_part_is_told_in_one_line() {
        assert_eq!("2/5".parse(), Ok(Part { number: 2, of: 5, from: Origin::Option }));
        for (text, why) in [
            ("0/5", "from 1 to 5"),
            ("6/5", "from 1 to 5"),
            ("2/0", "1 to 1000000 parts"),
            ("1/1000001", "1 to 1000000 parts"),
            ("2", "for example 2/5"),
            ("/", "for example 2/5"),
            ("+1/2", "for example 2/5"),
            ("-1/2", "for example 2/5"),
            ("1/2/3", "for example 2/5"),
            ("1/99999999999999999999", "for example 2/5"),
            ("", "for example 2/5"),
        ] {
            let error = text.parse::<Part>().unwrap_err();
            assert!(error.contains(why) && !error.contains('\n'), "{text}: {error}");
        }
    }

    fn launched(parts: Option<u32>, variables: &str) -> Result<(u32, u32, &'static str), String> {
        let map: BTreeMap<&str, &str> = variables.split_whitespace().filter_map(|pair| pair.split_once('=')).collect();
        let part = Part::of_launcher(parts, |name| map.get(name).map(|value| (*value).to_owned()))?;
        Ok((part.number, part.of, part.from.name()))
    }

    #[test]
    fn each_launcher_says_which_part_this_is() {
        let ompi = "OMPI_COMM_WORLD_RANK=2 OMPI_COMM_WORLD_SIZE=7";
        let slurm = "SLURM_PROCID=0 SLURM_NTASKS=3";
        let array = "SLURM_ARRAY_TASK_ID=14 SLURM_ARRAY_TASK_COUNT=4 SLURM_ARRAY_TASK_MIN=10 SLURM_ARRAY_TASK_MAX=16";
        let k8s = "JOB_COMPLETION_INDEX=4";
        let nomad = "NOMAD_ALLOC_INDEX=0";
        for (parts, variables, want) in [
            (None, ompi.to_owned(), (3, 7, "OMPI_COMM_WORLD_RANK")),
            (None, slurm.to_owned(), (1, 3, "SLURM_PROCID")),
            (Some(3), slurm.to_owned(), (1, 3, "SLURM_PROCID")),
            (Some(5), k8s.to_owned(), (5, 5, "JOB_COMPLETION_INDEX")),
            (Some(2), nomad.to_owned(), (1, 2, "NOMAD_ALLOC_INDEX")),
            // The jobs of an array have one task each, which may not be counted.
            (None, format!("{array} SLURM_PROCID=0 SLURM_NTASKS=1"), (3, 4, "SLURM_ARRAY_TASK_ID")),
            (None, array.to_owned(), (3, 4, "SLURM_ARRAY_TASK_ID")),
            // Where they have several, each job is a run.
            (None, format!("{array} {slurm}"), (1, 3, "SLURM_PROCID")),
            (
                None,
                "SLURM_ARRAY_TASK_ID=5 SLURM_ARRAY_TASK_COUNT=1 SLURM_ARRAY_TASK_MIN=5 SLURM_ARRAY_TASK_MAX=5"
                    .to_owned(),
                (1, 1, "SLURM_ARRAY_TASK_ID"),
            ),
            // The order.
            (None, format!("{nomad} {k8s} {slurm} {ompi}"), (3, 7, "OMPI_COMM_WORLD_RANK")),
            (None, format!("{nomad} {k8s} {slurm}"), (1, 3, "SLURM_PROCID")),
            (Some(9), format!("{nomad} {k8s}"), (5, 9, "JOB_COMPLETION_INDEX")),
        ] {
            assert_eq!(launched(parts, &variables), Ok(want), "{variables}");
        }
    }

    #[test]
    fn what_a_launcher_cannot_mean_is_told() {
        let array = |id: u32| {
            format!("SLURM_ARRAY_TASK_ID={id} SLURM_ARRAY_TASK_COUNT=3 SLURM_ARRAY_TASK_MIN=1 SLURM_ARRAY_TASK_MAX=9")
        };
        for (parts, variables, why) in [
            (None, "", "no launcher"),
            (Some(5), "", "no launcher"),
            (None, "SLURM_NTASKS=5", "no launcher"),
            (None, "OMPI_COMM_WORLD_RANK=2", "OMPI_COMM_WORLD_SIZE is not"),
            (None, "OMPI_COMM_WORLD_RANK=x OMPI_COMM_WORLD_SIZE=2", "'x'"),
            (None, "OMPI_COMM_WORLD_RANK= OMPI_COMM_WORLD_SIZE=2", "''"),
            (None, "OMPI_COMM_WORLD_RANK=2 OMPI_COMM_WORLD_SIZE=2", "from 0 to 1"),
            (None, "OMPI_COMM_WORLD_RANK=0 OMPI_COMM_WORLD_SIZE=0", "0 parts"),
            (None, "SLURM_PROCID=1", "SLURM_NTASKS is not"),
            (None, "SLURM_PROCID=-1 SLURM_NTASKS=4", "'-1'"),
            (None, "SLURM_PROCID=99999999999 SLURM_NTASKS=4", "'99999999999'"),
            (None, "SLURM_PROCID=1 SLURM_NTASKS=4.5", "'4.5'"),
            (Some(3), "SLURM_PROCID=1 SLURM_NTASKS=4", "leave --parts out"),
            (None, "JOB_COMPLETION_INDEX=1", "add --parts"),
            (None, "NOMAD_ALLOC_INDEX=1", "add --parts"),
            (Some(4), "NOMAD_ALLOC_INDEX=4", "from 0 to 3"),
            (None, "SLURM_ARRAY_TASK_ID=1", "SLURM_ARRAY_TASK_COUNT is not"),
            (None, &array(2), "evenly"),
            (None, &array(0), "evenly"),
        ] {
            let error = launched(parts, variables).unwrap_err();
            assert!(error.contains(why) && !error.contains('\n'), "{variables}: {error}");
        }
        assert_eq!(launched(None, &array(5)), Ok((2, 3, "SLURM_ARRAY_TASK_ID")));
    }
}
