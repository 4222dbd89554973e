//! Proves that timers of processes and servers fire in order and never early, can be read and taken off, and go with their process.
#![forbid(unsafe_code)]

mod common;

use common::{idle, in_process};
use purlin::prelude::*;
use purlin::process::{TimerFired, TimerTarget};

#[purlin::test(sim, seeds = 10)]
async fn messages_arrive_in_the_order_of_their_times() {
    in_process(async |mut mailbox: Mailbox<&str>| {
        let (node, me) = (Node::current(), mailbox.pid());
        let begun = node.now();
        process::send_after(me, millis(30), "third");
        process::send_at(me, begun + millis(20), "second");
        mailbox.address().send_after(millis(10), "first");
        for (at, expected) in [(10, "first"), (20, "second"), (30, "third")] {
            assert_eq!(mailbox.receive().await, expected);
            assert!(node.now() - begun >= millis(at), "{expected} came early");
        }
    })
    .await;
}

#[purlin::test(sim, seeds = 10)]
async fn a_started_timer_says_which_one_it_is() {
    in_process(async |mut mailbox: Mailbox<TimerFired<&str>>| {
        let (node, me) = (Node::current(), mailbox.pid());
        let given_up = process::start_timer(me, millis(1), "old");
        let at = node.now() + millis(5);
        let awaited = process::start_timer_at(me, at, "new");
        let fired = mailbox.receive_map(|fired| if fired.timer == awaited { Ok(fired) } else { Err(fired) });
        assert_eq!(fired.await, TimerFired { timer: awaited, message: "new" });
        assert!(node.now() >= at);
        assert_eq!(mailbox.try_receive().map(|fired| fired.timer), Some(given_up));
    })
    .await;
}

#[purlin::test(sim, seeds = 10)]
async fn a_timer_can_be_read_and_taken_off_until_it_has_fired() {
    in_process(async |mut mailbox: Mailbox<u8>| {
        let timer: TimerRef = process::send_after(mailbox.pid(), secs(60), 1u8);
        assert_eq!(Node::current().stats().timers, 1);
        process::sleep(secs(20)).await;
        let left = process::read_timer(timer).unwrap();
        assert!(left > secs(39) && left <= secs(40), "{left:?}");
        assert_eq!(process::cancel_timer(timer), Some(left));
        assert_eq!((process::cancel_timer(timer), process::read_timer(timer)), (None, None));
        assert_eq!(mailbox.receive_timeout(secs(120)).await, None, "taken off, it never arrives");
    })
    .await;
}

#[purlin::test(sim, seeds = 10)]
async fn an_interval_repeats_until_it_is_taken_off() {
    in_process(async |mut mailbox: Mailbox<&str>| {
        let (node, begun) = (Node::current(), Node::current().now());
        let beat = process::send_interval(mailbox.pid(), secs(1), "beat");
        for n in 1..=5 {
            assert_eq!(mailbox.receive().await, "beat");
            assert!(node.now() - begun >= secs(n) && node.now() - begun < secs(n + 1));
        }
        assert!(process::cancel_timer(beat).is_some());
        assert_eq!(mailbox.receive_timeout(secs(5)).await, None);
    })
    .await;
}

#[purlin::test(sim, seeds = 10, allow_leaks)]
async fn a_timer_goes_with_its_process_and_one_for_a_name_with_nobody() {
    let gone = idle();
    process::send_after(TimerTarget::Pid(gone.pid()), secs(1), ());
    process::send_after(&gone, secs(1), ());
    gone.send(());
    gone.wait().await;
    assert_eq!(Node::current().stats().timers, 0);

    process::send_after("whoever", secs(1), 7u8);
    for name in [TimerTarget::from("whoever"), TimerTarget::from(String::from("whoever"))] {
        assert_eq!(name, TimerTarget::Name("whoever".into()));
    }
    let metronome = Metronome::start(secs(60)).await.unwrap();
    assert_eq!(TimerTarget::from(&metronome), TimerTarget::Pid(metronome.pid()));
    in_process(async |mut mailbox: Mailbox<u8>| {
        process::register("whoever", mailbox.pid()).unwrap();
        assert_eq!(mailbox.receive().await, 7, "the name is looked up when the timer fires");
    })
    .await;
}

/// Counts beats, and stops when it has been quiet for long enough.
struct Metronome {
    beats: u32,
    beat: Option<TimerRef>,
}

#[derive(Clone)]
struct Beat;

#[gen_server]
impl Metronome {
    fn init(period: std::time::Duration, cx: &mut Cx<Self>) -> Self {
        Metronome { beats: 0, beat: Some(cx.send_interval(period, Beat)) }
    }

    #[info]
    fn beat(&mut self, _: Beat) {
        self.beats += 1;
    }

    #[call]
    fn beats(&self) -> u32 {
        self.beats
    }

    #[call]
    fn left(&mut self, cx: &mut Cx<Self>) -> Option<std::time::Duration> {
        cx.read_timer(self.beat?)
    }

    #[call]
    fn silence(&mut self, cx: &mut Cx<Self>) -> bool {
        self.beat.take().is_some_and(|beat| cx.cancel_timer(beat).is_some())
    }
}

#[purlin::test(sim, seeds = 10, allow_leaks)]
async fn a_servers_interval_runs_until_the_server_takes_it_off() -> Result<()> {
    let metronome = Metronome::start(secs(1)).await?;
    process::sleep(millis(3_500)).await;
    assert_eq!(metronome.beats().await?, 3);
    let left = metronome.left().await?.unwrap();
    assert!(left > millis(400) && left <= millis(500), "{left:?}");
    assert!(metronome.silence().await?);
    process::sleep(secs(10)).await;
    assert_eq!((metronome.beats().await?, metronome.left().await?), (3, None));
    Ok(())
}
