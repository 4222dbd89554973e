//! The demonstration: four receivers in processes of their own, events fed through the real intake, and
//! delivery processes killed in the middle of their work; at the end a table and the ledger check.

mod feeder;
mod receivers;
mod report;

use std::error::Error;
use std::net::TcpListener;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use crate::backoff::{Backoff, RetryPolicy};
use crate::config::{EndpointConfig, Filter};
use crate::delivery::{HttpClient, Target, http_client};
use crate::event::Samples;
use crate::ledger::{Books, Ids};
use crate::receiver::Counts;
use crate::receiver::plan::{Kind, MAX_FLAKY_FAILURES};
use crate::signature::Secret;
use crate::system::{Directory, Settings, Snapshot, System};
use feeder::{Feed, feed};
use receivers::ReceiverProcess;
use report::{Progress, Row, Screen};

/// How the demonstration runs.
#[derive(Debug)]
pub(crate) struct Options {
    /// File with payloads; without one the built-in ones are used.
    pub(crate) events: Option<PathBuf>,
    /// Least number of deliveries; each event makes four.
    pub(crate) deliveries: usize,
    /// Deliveries fed in per second.
    pub(crate) rate: u32,
    /// Seed of all chance but the operating system's.
    pub(crate) seed: u64,
    /// Whether the healthy receiver reports one delivery fewer than it took.
    pub(crate) lying_receiver: bool,
}

/// Runs it; `true` means that all books agree.
pub(crate) async fn run(options: Options) -> Result<bool, Box<dyn Error + Send + Sync>> {
    let mut rng = fastrand::Rng::with_seed(options.seed);
    let mut screen = Screen::new();
    let samples = match &options.events {
        Some(path) => Samples::from_file(path)?,
        None => Samples::built_in(),
    };
    let events = options.deliveries.div_ceil(Kind::ALL.len());
    let expected = events * Kind::ALL.len();
    screen.say(&introduction(&options, &samples, events));

    let secret = Secret::for_demonstration(&mut rng);
    let mut processes = Vec::new();
    for kind in Kind::ALL {
        let lying = options.lying_receiver && kind == Kind::Healthy;
        let process = ReceiverProcess::start(kind, rng.u64(..), &secret, lying)?;
        screen.say(&format!("  {:<8} {} (process {})", kind.name(), portrait(kind), process.process_id()));
        processes.push(process);
    }
    let endpoints: Vec<_> = processes.iter().map(|process| endpoint(process, &secret)).collect();
    let settings = Settings { seed: rng.u64(..), keep_ids: true, queue_limit: expected };
    let socket = TcpListener::bind("127.0.0.1:0")?;
    socket.set_nonblocking(true)?;
    let address = socket.local_addr()?;
    let system = System::start(endpoints, settings, socket).await?;
    let directory = system.directory();

    let client = http_client();
    let interval = Duration::from_secs(Kind::ALL.len() as u64) / options.rate;
    let feeding = tokio::spawn({
        let client = client.clone();
        async move { feed(&client, address, Feed { samples, events, interval }).await }
    });
    screen.say(&format!(
        "Events are posted to http://{address}/events; delivery processes are killed on the way.\n"
    ));

    let watch = Watch { directory, expected: expected as u64, start: Instant::now(), rng };
    let finished = watch.until_finished(&feeding, &mut screen).await?;
    if !finished {
        screen.say("Nothing has moved for a minute: the run ends here, unfinished.");
    }
    feeding.abort();
    let accepted = match feeding.await {
        Ok(accepted) => accepted?,
        Err(_aborted) => return Err("the events could not all be posted".into()),
    };

    let mut rows = Vec::new();
    let mut books = Vec::new();
    for (index, process) in processes.iter().enumerate() {
        let name = process.kind.name();
        let Snapshot { tally, .. } = directory.snapshot(index).await?;
        rows.push(Row { name: name.to_owned(), tally });
        let mine = accepted.iter().filter(|delivery| delivery.endpoint == name);
        let accepted = mine.map(|delivery| delivery.id.as_str().into()).collect();
        books.push(close_books(directory, index, process, &client, accepted).await?);
    }
    screen.say(&format!("\n{}", report::table(&rows)));
    screen.say(&report::ledger(&books));
    system.stop().await;
    Ok(finished && books.iter().all(|(books, _)| books.differences().is_empty()))
}

fn introduction(options: &Options, samples: &Samples, events: usize) -> String {
    let source = match &options.events {
        Some(path) => format!("{} payloads of {}", samples.len(), path.display()),
        None => format!("{} built-in payloads", samples.len()),
    };
    format!(
        "Purlin webhooks, demonstration: {} events ({source}) go to four receivers, {} deliveries in all.\n\
         Each receiver is a process of its own and keeps its own books:",
        report::number(events as u64),
        report::number((events * Kind::ALL.len()) as u64),
    )
}

fn portrait(kind: Kind) -> &'static str {
    match kind {
        Kind::Healthy => "answers at once",
        Kind::Slow => "takes 20 to 100 ms for each answer",
        Kind::Flaky => "fails every third delivery up to three times: errors, resets, silence",
        Kind::Dead => "closes every connection; all of its deliveries have to be given up",
    }
}

/// The waits are short, so that the demonstration is; `serve` has longer defaults.
fn endpoint(process: &ReceiverProcess, secret: &Secret) -> EndpointConfig {
    let ms = Duration::from_millis;
    let patient = RetryPolicy {
        // Every planned failure, and as many again for a machine under load.
        max_attempts: 4 * MAX_FLAKY_FAILURES,
        backoff: Backoff { base: ms(50), cap: ms(1_000), jitter: 0.5 },
    };
    let (in_flight, timeout, retry) = match process.kind {
        Kind::Healthy => (8, ms(5_000), patient),
        Kind::Slow => (32, ms(5_000), patient),
        Kind::Flaky => (24, ms(400), patient),
        Kind::Dead => (8, ms(1_000), RetryPolicy { max_attempts: 4, ..patient }),
    };
    let url = format!("http://{}/hook", process.data).parse().expect("a socket address makes a URL");
    EndpointConfig {
        name: process.kind.name().to_owned(),
        filter: Filter::default(),
        target: Target { url, secret: secret.clone(), timeout },
        retry,
        in_flight,
    }
}

async fn close_books(
    directory: &Directory,
    index: usize,
    process: &ReceiverProcess,
    client: &HttpClient,
    accepted: Ids,
) -> Result<(Books, Counts), Box<dyn Error + Send + Sync>> {
    let settled = directory.settled_ids(index).await?;
    let counts = process.counts(client).await?;
    let received = process.ids(client).await?;
    let books = Books {
        endpoint: process.kind.name().to_owned(),
        accepted,
        delivered: settled.delivered.into_iter().collect(),
        given_up: settled.given_up.into_iter().collect(),
        received: received.iter().map(|id| id.as_str().into()).collect(),
        received_count: counts.distinct,
    };
    Ok((books, counts))
}

/// Watches the run, shows its progress and kills delivery processes.
struct Watch<'a> {
    directory: &'a Directory,
    expected: u64,
    start: Instant,
    rng: fastrand::Rng,
}

impl Watch<'_> {
    /// Until everything fed in is delivered or given up (`true`), feeding fails, or nothing moves for a
    /// minute (`false`).
    async fn until_finished<T, E: Error + Send + Sync + 'static>(
        mut self,
        feeding: &JoinHandle<Result<T, E>>,
        screen: &mut Screen,
    ) -> Result<bool, Box<dyn Error + Send + Sync>> {
        const LOOK_EVERY: Duration = Duration::from_millis(20);
        const PATIENCE: Duration = Duration::from_secs(60);
        let mut progress = Progress::default();
        let (mut moved_at, mut shown_at) = (self.start, self.start);
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let fed = feeding.is_finished();
            let snapshots = self.snapshots().await?;
            let before = progress;
            progress = summed(&snapshots, before.killed);
            if progress.finished() >= kill_mark(progress.killed, self.expected) {
                progress.killed += u64::from(self.kill_one(&snapshots, progress.killed, screen));
            }
            let now = Instant::now();
            if progress.finished() != before.finished() {
                moved_at = now;
            }
            let done = fed && snapshots.iter().all(|snapshot| snapshot.unfinished == 0);
            if done || now - shown_at >= screen.progress_interval() {
                screen.progress(&progress.line(now - self.start, self.expected));
                shown_at = now;
            }
            if done {
                return Ok(true);
            }
            if now - moved_at > PATIENCE {
                return Ok(false);
            }
        }
    }

    async fn snapshots(&self) -> Result<Vec<Snapshot>, Box<dyn Error + Send + Sync>> {
        let mut snapshots = Vec::with_capacity(Kind::ALL.len());
        for index in 0..Kind::ALL.len() {
            snapshots.push(self.directory.snapshot(index).await?);
        }
        Ok(snapshots)
    }

    /// Kills the delivery process of an endpoint that has work; `false` if there is none at the moment.
    fn kill_one(&mut self, snapshots: &[Snapshot], killed: u64, screen: &mut Screen) -> bool {
        const TOLD: u64 = 4;
        let busy: Vec<_> = (0..snapshots.len()).filter(|&index| snapshots[index].unfinished > 0).collect();
        let Some(&victim) = self.rng.choice(&busy) else { return false };
        let Some(pid) = self.directory.kill_delivery_process(victim) else { return false };
        let (name, seconds) = (Kind::ALL[victim].name(), self.start.elapsed().as_secs_f64());
        if killed < TOLD {
            screen.say(&format!(
                "{seconds:>5.1} s  killed {pid}, which delivers to `{name}`; its supervisor starts another"
            ));
        } else if killed == TOLD {
            screen.say(&format!(
                "{seconds:>5.1} s  killed {pid} of `{name}`; from here on the kills are only counted"
            ));
        }
        true
    }
}

/// The number of finished deliveries at which the next process is killed, after `killed` of them: forty
/// kills, spread evenly.
fn kill_mark(killed: u64, expected: u64) -> u64 {
    const KILLS: u64 = 40;
    (killed + 1) * expected / (KILLS + 1)
}

fn summed(snapshots: &[Snapshot], killed: u64) -> Progress {
    let start = Progress { killed, ..Progress::default() };
    snapshots.iter().fold(start, |sum, Snapshot { tally, .. }| Progress {
        accepted: sum.accepted + tally.accepted,
        delivered: sum.delivered + tally.delivered,
        given_up: sum.given_up + tally.given_up,
        killed,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forty_kills_are_spread_over_the_run_and_none_comes_at_its_very_end() {
        let marks: Vec<_> = (0..40).map(|killed| kill_mark(killed, 10_000)).collect();
        assert_eq!((marks[0], marks[39]), (243, 9_756));
        assert!(marks.is_sorted());
        assert!(kill_mark(40, 10_000) == 10_000);
    }
}
