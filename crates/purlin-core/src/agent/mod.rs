//! Agents: a state in a process of its own, used by functions.
//!
//! An agent is a server that is made by using it: it needs no message types and no handlers, because what it is asked are functions, which run
//! inside it. It is the quickest way to state that several processes share, and that is restarted when something breaks it.
//!
//! # Example
//! ```
//! use purlin_core::{Agent, CallError, Supervisor};
//!
//! // Who wants to use it says so in functions: no other place knows what the state is.
//! const HITS: Agent<u64> = Agent::named("hits");
//!
//! async fn hit() -> Result<u64, CallError> {
//!     HITS.get_and_update(|n| {
//!         *n += 1;
//!         *n
//!     })
//!     .await
//! }
//!
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! # let node = purlin_core::Node::builder().start();
//! # node.scope(async {
//! let root = Supervisor::one_for_one()
//!     .child(Agent::child_spec(|| 0_u64).name("hits"))
//!     .start_link()
//!     .await?;
//!
//! assert_eq!(hit().await?, 1);                            // the state changes, and the caller gets something
//! HITS.update(|n| *n *= 10).await?;                       // it changes, and the caller waits for that
//! HITS.cast(|n| *n += 1);                                 // it changes, and nobody waits
//! assert_eq!(HITS.get(|n| *n).await?, 11);                // it is looked at
//!
//! root.stop().await?;
//! assert!(HITS.get(|n| *n).await.unwrap_err().is_no_proc());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).await.unwrap();
//! # node.shutdown().await;
//! # });
//! ```
//!
//! # Operations
//! | what | `f` gets | result | Elixir |
//! |---|---|---|---|
//! | [`get(f)`](Agent::get) | `&T` | what `f` returns | `Agent.get` |
//! | [`update(f)`](Agent::update) | `&mut T` | `()` | `Agent.update` |
//! | [`get_and_update(f)`](Agent::get_and_update) | `&mut T` | what `f` returns | `Agent.get_and_update` |
//! | [`cast(f)`](Agent::cast) | `&mut T` | nothing, at once | `Agent.cast` |
//! | [`stop()`](Agent::stop) | | when the agent has ended | `Agent.stop` |
//! | [`start(f)`](Agent::start), [`start_link(f)`](Agent::start_link) | nothing; it makes the state | the handle | `Agent.start`, `start_link` |
//!
//! The first three are calls: they wait for 5 s unless [`timeout`](crate::CallFuture::timeout) or
//! [`infinity`](crate::CallFuture::infinity) says otherwise, and fail with a [`CallError`](crate::CallError), at once when the agent is not there or
//! ends meanwhile. Nothing happens before they are awaited.
//!
//! # What runs where
//! Functions run in the agent: [`self_pid`](crate::process::self_pid) is the agent's, a panic ends the agent and not the caller, and changes
//! happen one after the other. On an idle agent that costs no message, no wake-up and no allocation: the function is run at once, on the caller's
//! thread, under the agent's lock; see [calls in place](crate::gen_server#calls-in-place-and-reads). `get` only looks, so the `get`s of
//! several callers run at the same time; for that the state must be `Sync`. One that is not is read with `get_and_update`.
//!
//! ```
//! use purlin_core::{Agent, process};
//! use std::cell::Cell;
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! # let node = purlin_core::Node::builder().start();
//! # node.scope(async {
//! let agent = Agent::start(|| Cell::new(1)).await?;       // `Send`, but not `Sync`: no `get`
//! assert_eq!(agent.get_and_update(|n| n.get()).await?, 1);
//! assert_eq!(agent.get_and_update(|_| process::self_pid()).await?, agent.pid());
//!
//! let error = agent.update(|_| panic!("no such thing")).await.unwrap_err();
//! assert_eq!(error.exit_reason().unwrap().panic_info().unwrap().message, "no such thing");
//! assert!(agent.whereis().is_none());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).await.unwrap();
//! # node.shutdown().await;
//! # });
//! ```
//! A function holds the agent up for as long as it runs: what takes long is computed before, by the caller, or after, from a copy. Functions
//! cannot wait: none of them is `async`.
//!
//! # When not to use an agent
//! * **When the state has behaviour**: timers, messages of other processes, an orderly end. That is a
//!   [`GenServer`](crate::gen_server), which an agent can be made into when the time comes.
//! * **For what the caller could keep itself**, or what never changes: a variable, an `Arc`, a `OnceLock`.
//! * **As a cache for everybody**: all changes go through one process, one after the other.
//!
//! # Supervise it
//! [`Agent::child_spec`] is a child as any other: restarted always, five seconds to shut down, its state made anew at each start. Its id is
//! its name, or `"Agent"`: two agents without names under one supervisor need [`id`](crate::Child::id)s.
//!
//! # Differences from Elixir
//! * `update` and `cast` change the state in place; their functions return nothing. What `get_and_update`'s function returns is the
//!   reply.
//! * `get`s run beside each other.
//! * There is no form with module, function and arguments: a `fn` is a function as any other, `agent.get(Vec::len)`.
//! * A failed call is an error, and no exit of the caller. If it may be worth a crash, `?` makes it one.
//! * A state is typed, and a running agent keeps its type; [`sys::replace_state`](crate::sys::replace_state) is what is left of `code_change`.

pub(crate) mod handle;
pub(crate) mod server;

pub use handle::{Agent, StartAgent, StartAgentFuture};
pub use server::{AgentInit, AgentServer, Get, GetAndUpdate, ReadableState, Update};
