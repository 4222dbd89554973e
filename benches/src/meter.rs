//! Clocks and counters of the process that runs one workload: wall time, CPU time of the whole process, resident
//! memory, system load. All of it is safe code: CPU time comes from `clock_gettime(CLOCK_PROCESS_CPUTIME_ID)`, the rest
//! from `/proc`.

use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

/// What one run of one workload yields.
#[derive(Debug, Clone)]
pub(crate) struct Sample {
    /// Unit of `value`: `ns_per_op`, `ns`, `ms` or `bytes`.
    pub(crate) unit: &'static str,
    /// The figure that the table shows.
    pub(crate) value: f64,
    /// CPU time of all threads of the process, per operation, in nanoseconds.
    pub(crate) cpu_ns_per_op: Option<f64>,
    /// Number of operations measured.
    pub(crate) n: u64,
    /// Further named figures, such as `p99` or `rss_bytes_per_process`.
    pub(crate) extra: Vec<(&'static str, f64)>,
}

impl Sample {
    /// Adds a named figure.
    pub(crate) fn with(mut self, name: &'static str, value: f64) -> Self {
        self.extra.push((name, value));
        self
    }

    /// The sample as the one JSON line that a child process prints.
    pub(crate) fn to_json(&self) -> Value {
        let mut line = Map::new();
        line.insert("unit".into(), json!(self.unit));
        line.insert("value".into(), json!(self.value));
        line.insert("cpu_ns_per_op".into(), json!(self.cpu_ns_per_op));
        line.insert("n".into(), json!(self.n));
        for (name, value) in &self.extra {
            line.insert((*name).into(), json!(value));
        }
        Value::Object(line)
    }
}

/// A running measurement: wall clock and CPU clock, both read at the start.
pub(crate) struct Meter {
    wall: Instant,
    cpu: Duration,
}

impl Meter {
    /// Reads both clocks.
    pub(crate) fn start() -> Self {
        let cpu = process_cpu_time();
        Meter { wall: Instant::now(), cpu }
    }

    /// Reads both clocks again; `n` operations were done: nanoseconds per operation.
    pub(crate) fn stop(self, n: u64) -> Sample {
        let wall = self.wall.elapsed();
        let cpu = process_cpu_time() - self.cpu;
        Sample {
            unit: "ns_per_op",
            value: per_op(wall, n),
            cpu_ns_per_op: Some(per_op(cpu, n)),
            n,
            extra: Vec::new(),
        }
    }

    /// As [`Meter::stop`], but the value is the whole time in milliseconds.
    pub(crate) fn stop_ms(self, n: u64) -> Sample {
        let wall = self.wall.elapsed();
        let sample = self.stop(n);
        Sample { unit: "ms", value: wall.as_secs_f64() * 1e3, ..sample }
    }

    /// As [`Meter::stop`], but the value is the median of the given latencies, with p99 and maximum beside it.
    pub(crate) fn stop_latencies(self, mut nanos: Vec<u64>) -> Sample {
        let sample = self.stop(nanos.len() as u64);
        nanos.sort_unstable();
        let at = |q: f64| nanos[((nanos.len() - 1) as f64 * q) as usize] as f64;
        Sample { unit: "ns", value: at(0.5), ..sample }
            .with("p50", at(0.5))
            .with("p99", at(0.99))
            .with("max", at(1.0))
    }
}

fn per_op(time: Duration, n: u64) -> f64 {
    time.as_nanos() as f64 / n.max(1) as f64
}

/// CPU time used by all threads of this process so far.
fn process_cpu_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Resident memory of this process in bytes, from `/proc/self/statm` (exact to a page).
pub(crate) fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("/proc/self/statm is readable");
    let pages: u64 = statm.split(' ').nth(1).and_then(|p| p.parse().ok()).expect("statm has a second field");
    pages * rustix::param::page_size() as u64
}

/// The machine's one-minute load average.
pub(crate) fn load1() -> f64 {
    std::fs::read_to_string("/proc/loadavg")
        .ok()
        .and_then(|text| text.split(' ').next().and_then(|first| first.parse().ok()))
        .unwrap_or(f64::NAN)
}

/// Memory that can still be allocated without swapping, in bytes; `None` where `/proc/meminfo` does not say.
pub(crate) fn available_bytes() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find(|line| line.starts_with("MemAvailable:"))?;
    line.split_whitespace().nth(1)?.parse::<u64>().ok().map(|kib| kib * 1024)
}

/// A small seeded generator (xorshift64*) for access patterns; the same sequence for every implementation.
pub(crate) struct Random(u64);

impl Random {
    /// A generator with the seed that all workloads use.
    pub(crate) fn seeded() -> Self {
        Random(0x9E37_79B9_7F4A_7C15)
    }

    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        ((u128::from(self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)) * bound as u128) >> 64) as usize
    }
}
