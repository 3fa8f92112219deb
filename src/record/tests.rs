//! Files as a run writes them, whole and damaged.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::*;
use crate::model::{Cause, Model, Setup, Severity, Verdict, synthetic};
use crate::sample::Sample;

fn setup() -> Setup {
    Setup { target: Some(50_000), interval_ms: 1000, target_note: Some("aims at 50,000".into()), ..Setup::default() }
}

/// Some seconds of a run with a note, a death and a summary.
fn entries(samples: u64) -> Vec<Entry> {
    let sample = |i: u64| synthetic::sample((i * 1000).min(50_000), i * 1000);
    let mut all: Vec<Entry> =
        (0..samples).map(|i| Entry::Sample { shown: true, sample: Arc::new(sample(i)) }).collect();
    let note = |t_ms, id: &str| Entry::Note { t_ms, severity: Severity::Info, id: id.into(), text: "a note".into() };
    all.insert(0, note(0, "first"));
    let pid = sample(0).kernel.processes[0].pid;
    all.push(Entry::Death { t_ms: samples * 1000, pid, cause: Cause::Signal(9) });
    all.push(note(samples * 1000, "last"));
    let mut course = Course::new(setup());
    for entry in &all {
        course.take(entry);
    }
    all.push(Entry::Summary { summary: Box::new(course.summary(Verdict::EngineKilled)) });
    all
}

/// Writes them as a run does; a frame for every `each` entries.
fn write(dir: &Path, entries: &[Entry], each: usize) -> PathBuf {
    let path = dir.join("run.c1m");
    let mut bytes = Vec::new();
    let mut builder = frame::Builder::new().unwrap();
    builder.add(&Entry::Header { header: Box::new(Header::new(setup())) }).unwrap();
    bytes.extend(builder.finish().unwrap());
    for (i, part) in entries.chunks(each).enumerate() {
        if i == 0 {
            builder.add(&Entry::Header { header: Box::new(Header::new(setup())) }).unwrap();
        }
        for entry in part {
            builder.add(entry).unwrap();
        }
        bytes.extend(builder.finish().unwrap());
    }
    fs::write(&path, bytes).unwrap();
    path
}

fn without_headers(recording: &Recording) -> Vec<Entry> {
    recording.entries().filter(|entry| !matches!(entry, Entry::Header { .. })).collect()
}

/// All that a model shows.
fn shown(model: &Model) -> String {
    format!("{:?} {:?} {:?}", model.sample_line(), model.events().all(), model.summary(Verdict::Watched))
}

#[test]
fn what_was_written_is_read_and_makes_the_same_model() {
    let dir = tempfile::tempdir().unwrap();
    let written = entries(40);
    let path = dir.path().join("run.c1m");
    let mut recorder = Recorder::start(&path, File::create(&path).unwrap(), Header::new(setup())).unwrap();
    let (last, before) = written.split_last().unwrap();
    for entry in before {
        recorder.put(entry.clone());
    }
    recorder.finish(last.clone());
    let recording = open(&path).unwrap();
    assert_eq!((recording.damage(), recording.samples(), recording.span_ms()), (&[][..], 40, (0, 40_000)));
    for (read, written) in without_headers(&recording).iter().zip(&written) {
        assert!(read == written, "{read:?}\n{written:?}");
    }
    assert_eq!(recording.entries().count(), written.len() + 2, "the header stands twice");
    assert_eq!(recording.summary().unwrap().verdict, Verdict::EngineKilled);
    let mut live = Course::new(setup());
    for entry in &written {
        live.take(entry);
    }
    assert_eq!(shown(&play(&recording)), shown(live.model()));
    assert!(shown(live.model()).contains("aims at 50,000"));
}

#[test]
fn a_moment_is_found_without_what_is_before_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = write(dir.path(), &entries(60), 5);
    let recording = open(&path).unwrap();
    for t_ms in [0, 1, 5000, 31_000, 59_000] {
        let first = recording.entries_of(recording.frame_of(t_ms)).find_map(|e| e.t_ms()).unwrap();
        assert!(first <= t_ms && t_ms - first <= 5000, "{first} for {t_ms}");
    }
    let happened: Vec<Entry> = recording.happenings().collect();
    assert_eq!(happened.iter().filter(|e| matches!(e, Entry::Note { .. })).count(), 2);
}

#[test]
fn a_file_cut_anywhere_gives_what_was_whole() {
    let dir = tempfile::tempdir().unwrap();
    let written = entries(4);
    let path = write(dir.path(), &written, 3);
    let bytes = fs::read(&path).unwrap();
    let (mut frames, mut usable) = (0, 0);
    for length in 0..bytes.len() {
        fs::write(&path, &bytes[..length]).unwrap();
        match open(&path) {
            Err(e) => assert!(!e.to_string().contains('\n') && frames == 0, "{e} at {length}"),
            Ok(recording) => {
                assert!(recording.frames() >= frames && recording.damage().iter().all(|d| d.at_end), "at {length}");
                // Only then is there anything new to compare.
                if std::mem::replace(&mut frames, recording.frames()) != recording.frames() {
                    usable = without_headers(&recording).len();
                    assert_eq!(without_headers(&recording), written[..usable], "at {length}");
                }
            }
        }
    }
    assert!(usable >= written.len() - 3, "{usable}");
}

#[test]
fn a_flipped_bit_costs_its_frame_and_is_told() {
    let dir = tempfile::tempdir().unwrap();
    // A header, a note, a reference and its copy, changes of it, and a summary.
    let note = Entry::Note { t_ms: 0, severity: Severity::Info, id: "first".into(), text: "a note".into() };
    let sample = |i: u64| Entry::Sample { shown: true, sample: Arc::new(synthetic::host_only(i * 1000)) };
    let summary = Entry::Summary { summary: Box::new(Model::new(setup()).summary(Verdict::Watched)) };
    let written: Vec<Entry> = [note].into_iter().chain((1..6).map(sample)).chain([summary]).collect();
    let path = write(dir.path(), &written, 2);
    let file = File::options().read(true).write(true).open(&path).unwrap();
    let mut bytes = fs::read(&path).unwrap();
    let length = bytes.len() as u64;
    let whole: Vec<u64> = read::scan(&file, 0, length).unwrap().frames.iter().map(|f| f.at).collect();
    let mut seen = Vec::new();
    for bit in 0..bytes.len() * 8 {
        let at = bit / 8;
        bytes[at] ^= 1 << (bit % 8);
        file.write_all_at(&bytes[at..=at], at as u64).unwrap();
        let found = read::scan(&file, 0, length).unwrap();
        let left: Vec<u64> = found.frames.iter().map(|f| f.at).collect();
        let [damage] = found.damage[..] else { panic!("bit {bit}: {:?}", found.damage) };
        assert!((damage.offset..damage.offset + damage.bytes).contains(&(at as u64)), "bit {bit}: {damage:?}");
        assert!(left.len() + 1 == whole.len() && left.iter().all(|f| whole.contains(f)), "bit {bit}");
        // What is read of the frames that are left is the same whichever bit of the lost one it was.
        if !seen.contains(&left) {
            costs_little(&path, &written, bit);
            seen.push(left);
        }
        bytes[at] ^= 1 << (bit % 8);
        file.write_all_at(&bytes[at..=at], at as u64).unwrap();
    }
    assert_eq!(seen.len(), whole.len(), "each frame was hit");
}

/// What is left of a recording with a damaged frame of two entries is read, and that something is missing is told.
fn costs_little(path: &Path, written: &[Entry], bit: usize) {
    let recording = open(path).unwrap_or_else(|e| panic!("bit {bit}: {e}"));
    assert_eq!(recording.damage().len(), 1, "bit {bit}");
    let read = without_headers(&recording);
    let lost = written.iter().filter(|entry| !read.contains(entry)).count();
    assert!(lost <= 2, "bit {bit} cost {lost}");
    assert!(lost == 0 || read.iter().any(|e| matches!(e, Entry::Gap { .. })) || recording.damage()[0].at_end);
    play(&recording);
}

#[test]
fn what_is_no_recording_is_told_in_a_line() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x");
    let told = |path: &Path| open(path).unwrap_err().to_string();
    assert!(told(&path).contains("No such file"));
    assert!(told(dir.path()).contains("directory"));
    for (content, word) in
        [(&b""[..], "empty"), (b"#!/bin/sh\n", "not a c1m-top recording"), (&[0; 9000], "not a c1m-top recording")]
    {
        fs::write(&path, content).unwrap();
        assert!(told(&path).contains(word), "{}", told(&path));
    }
}

#[test]
fn a_newer_schema_says_what_it_needs() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x");
    let mut builder = frame::Builder::new().unwrap();
    let header = Header { schema: SCHEMA + 1, needs: "9.1.0".into(), ..Header::new(setup()) };
    builder.add(&Entry::Header { header: Box::new(header) }).unwrap();
    let mut frame = builder.finish().unwrap();
    let head = format::Head::decode(frame[..format::HEAD].try_into().unwrap()).unwrap();
    frame[..format::HEAD].copy_from_slice(&format::Head { schema: SCHEMA + 1, ..head }.encode());
    fs::write(&path, frame).unwrap();
    assert_eq!(open(&path).unwrap_err(), Unreadable::Newer { schema: 2, needs: Some("9.1.0".into()) });
}

#[test]
fn keys_that_are_not_known_are_passed_over() {
    let sample: Sample = synthetic::sample(1000, 5);
    let mut value = serde_json::to_value(Entry::Sample { shown: true, sample: Arc::new(sample.clone()) }).unwrap();
    value["later"] = 1.into();
    value["sample"]["kernel"]["later"] = 1.into();
    let read: Entry = serde_json::from_value(value).unwrap();
    assert_eq!(read, Entry::Sample { shown: true, sample: Arc::new(sample) });
}

#[test]
fn any_moment_is_as_it_was_whichever_way_it_is_come_to() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run.c1m");
    let written = entries(400);
    write_all(File::create(&path).unwrap(), Header::new(setup()), written.clone()).unwrap();
    let recording = open(&path).unwrap();
    assert!(recording.frames() > 60 && recording.summary().is_some(), "{}", recording.frames());
    let (mut unprepared, mut prepared) = (Past::default(), Past::default());
    while prepared.prepare(&recording) {}
    let moments = [399_500, 0, 17_000, 17_999, 18_000, 301_000, 5000, 400_000, 399_000];
    for t_ms in moments {
        let mut straight = Course::new(setup());
        for entry in written.iter().take_while(|entry| entry.t_ms().is_none_or(|t| t <= t_ms)) {
            straight.take(entry);
        }
        let want = shown(straight.model());
        for past in [&mut unprepared, &mut prepared] {
            assert_eq!(shown(past.at(&recording, t_ms).model()), want, "at {t_ms}");
        }
    }
    assert_eq!(prepared.furthest().unwrap().model().now().t_ms, 399_000);
}

#[test]
fn what_finds_no_room_is_a_gap() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run.c1m");
    let mut recorder = Recorder::start(&path, File::create(&path).unwrap(), Header::new(setup())).unwrap();
    let sample = Entry::Sample { shown: true, sample: Arc::new(synthetic::sample(1000, 5)) };
    // Faster than any disk: some are missed.
    for _ in 0..3000 {
        recorder.put(sample.clone());
    }
    assert!(matches!(recorder.news(), Some(News::Stopped(why)) if why.contains("too long")));
    std::thread::sleep(std::time::Duration::from_secs(2));
    recorder.put(sample.clone());
    assert_eq!(recorder.news(), Some(News::GoesOn));
    recorder.finish(sample);
    let recording = open(&path).unwrap();
    let (mut samples, mut missed) = (0, 0);
    for entry in recording.entries() {
        match entry {
            Entry::Sample { .. } => samples += 1,
            Entry::Gap { entries: Some(n), .. } => missed += n,
            _ => {}
        }
    }
    assert_eq!((samples + missed, missed > 0), (3002, true));
}

#[test]
fn the_summary_of_a_run_that_ends_while_the_disk_is_behind_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run.c1m");
    let mut recorder = Recorder::start(&path, File::create(&path).unwrap(), Header::new(setup())).unwrap();
    for _ in 0..3000 {
        recorder.put(Entry::Sample { shown: true, sample: Arc::new(synthetic::sample(1000, 5)) });
    }
    recorder.finish(Entry::Summary { summary: Box::new(Model::new(setup()).summary(Verdict::Watched)) });
    let recording = open(&path).unwrap();
    assert!(recording.summary().is_some() && recording.span_ms().0 > 0);
}

/// All that a feed sends of these entries, after what `past` has of the run.
fn fed(past: Option<Written>, most: u64, entries: &[Entry]) -> Vec<u8> {
    let (to, pieces) = std::sync::mpsc::channel();
    let feed = Feed::of(Header::new(setup()), past, most, move |piece| to.send(piece).is_ok()).unwrap();
    assert!(entries.iter().all(|entry| feed.put(entry.clone())));
    drop(feed);
    pieces.iter().flatten().collect()
}

#[test]
fn a_run_that_is_followed_is_as_it_is_where_it_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let all = entries(40);
    let (before, after) = all.split_at(20);
    let path = dir.path().join("run.c1m");
    let mut recorder = Recorder::start(&path, File::create(&path).unwrap(), Header::new(setup())).unwrap();
    for entry in before {
        recorder.put(entry.clone());
    }
    let written = (path, recorder.flush());
    // What is recorded later on is fed too, and must not come twice.
    recorder.put(after[0].clone());
    recorder.flush().recv().unwrap();
    let sent = fed(Some(written), 1 << 20, after);
    let mut course = Course::new(setup());
    for entry in &all {
        course.take(entry);
    }
    let mut then = Course::new(setup());
    all.iter().filter(|entry| entry.t_ms().is_none_or(|t| t <= 9000)).for_each(|entry| then.take(entry));
    for piece in [1, 999, 1 << 20] {
        let mut follower = Follower::new().unwrap();
        assert!(follower.now().is_none() && follower.at(0).is_none());
        sent.chunks(piece).for_each(|piece| follower.take(piece).unwrap());
        assert_eq!(shown(follower.now().unwrap()), shown(course.shown()), "in pieces of {piece}");
        assert_eq!(shown(&follower.at(9000).unwrap()), shown(then.shown()), "in pieces of {piece}");
    }
}

#[test]
fn a_run_that_is_not_recorded_is_followed_from_now_on() {
    let all = entries(40);
    let mut follower = Follower::new().unwrap();
    follower.take(&fed(None, 1 << 20, &all[30..])).unwrap();
    let model = follower.now().unwrap();
    assert_eq!((model.now().t_ms, model.timespan(), model.setup()), (39_000, Some((29_000, 39_000)), &setup()));
}

#[test]
fn a_run_whose_file_is_gone_is_followed_from_now_on() {
    let all = entries(40);
    let (say, written) = std::sync::mpsc::sync_channel(1);
    say.send(5000).unwrap();
    let gone = tempfile::tempdir().unwrap().path().join("run.c1m");
    let mut follower = Follower::new().unwrap();
    follower.take(&fed(Some((gone, written)), 1 << 20, &all[30..])).unwrap();
    assert_eq!(follower.now().unwrap().timespan(), Some((29_000, 39_000)));
}

#[test]
fn what_is_more_than_a_run_has_is_not_kept() {
    let mut follower = Follower::new().unwrap();
    assert!(follower.take(&vec![0; (1 << 20) + 1]).is_err());
    let mut follower = Follower::new().unwrap();
    let taken = (0..1000).take_while(|_| follower.take(&vec![0; 1 << 20]).is_ok()).count();
    assert_eq!(taken, 32);
}

#[test]
fn of_a_long_run_the_end_is_followed() {
    let dir = tempfile::tempdir().unwrap();
    let all = entries(40);
    let (before, after) = all.split_at(30);
    let path = write(dir.path(), before, 5);
    let bytes = fs::metadata(&path).unwrap().len();
    let (say, written) = std::sync::mpsc::sync_channel(1);
    say.send(bytes).unwrap();
    let mut follower = Follower::new().unwrap();
    follower.take(&fed(Some((path, written)), bytes / 2, after)).unwrap();
    let model = follower.now().unwrap();
    let (from, to) = model.timespan().unwrap();
    assert!(to == 39_000 && (5_000..29_000).contains(&from), "{from} to {to}");
}
