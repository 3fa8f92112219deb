//! The floor: ping-pongs of blocking calls, paced by a timerfd, each between two threads that do nothing else.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create, timerfd_settime,
};

use crate::measure::Outcome;
use crate::measure::numbers::quantile;

/// What is sent and comes back, bytes.
pub(crate) const MESSAGE: usize = 64;

/// Messages a second that one of them is to carry at most.
const EACH: u64 = 2_500;

/// From when a message was due until its echo was there, microseconds.
#[derive(Debug)]
pub(crate) struct Floor {
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) p999: f64,
}

/// So many messages a second for so long; `None` where ping-pongs cannot carry that many.
pub(crate) fn measure(per_s: u64, time: Duration) -> Outcome<Option<Floor>> {
    let pairs = per_s.div_ceil(EACH);
    let one = move || ping_pong(per_s / pairs, time).map_err(|e| e.to_string());
    let threads: Vec<_> = (0..pairs).map(|_| thread::spawn(one)).collect();
    let (mut waited, mut kept_up) = (Vec::new(), true);
    for thread in threads {
        let (times, in_time) = thread.join().map_err(|_| "a ping-pong of the floor panicked")??;
        waited.extend(times);
        kept_up &= in_time;
    }
    let of = |q| quantile(&waited, q).unwrap_or_default();
    Ok(kept_up.then(|| Floor { p50: of(0.5), p99: of(0.99), p999: of(0.999) }))
}

/// How long each message of one took, microseconds, and whether it kept up.
fn ping_pong(per_s: u64, time: Duration) -> Outcome<(Vec<f64>, bool)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let mut near = TcpStream::connect(listener.local_addr()?)?;
    let (mut far, _) = listener.accept()?;
    for socket in [&near, &far] {
        socket.set_nodelay(true)?;
    }
    let echo = thread::spawn(move || {
        let mut message = [0; MESSAGE];
        while far.read_exact(&mut message).and_then(|()| far.write_all(&message)).is_ok() {}
    });
    let timer = timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::CLOEXEC)?;
    let period = Duration::from_secs(1) / u32::try_from(per_s)?;
    let every = Timespec { tv_sec: period.as_secs().cast_signed(), tv_nsec: period.subsec_nanos().into() };
    let start = Instant::now();
    timerfd_settime(&timer, TimerfdTimerFlags::empty(), &Itimerspec { it_interval: every, it_value: every })?;
    let mut waited = Vec::new();
    let (mut expired, mut message) = ([0; 8], [7; MESSAGE]);
    let mut due = start;
    while start.elapsed() < time {
        let mut ready = 0;
        while ready < expired.len() {
            ready += rustix::io::read(&timer, &mut expired[ready..])?;
        }
        for _ in 0..u64::from_ne_bytes(expired) {
            due += period;
            near.write_all(&message)?;
            near.read_exact(&mut message)?;
            waited.push(due.elapsed().as_secs_f64() * 1e6);
        }
    }
    // The last were due a moment ago at most, or the queue of what is due has only grown.
    let kept_up = due.elapsed() < time / 100;
    drop(near);
    echo.join().map_err(|_| "the echo of the floor panicked")?;
    Ok((waited, kept_up))
}
