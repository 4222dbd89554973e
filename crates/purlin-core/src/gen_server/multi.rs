//! The same request to servers of one name on several nodes: [`multi_call`] and [`abcast`].
//!
//! Nodes are those of this program: several live in one, as in tests of distributed systems. Nodes of other programs will be given in the same
//! way.
//!
//! ```
//! # use purlin_core::{Cx, GenServer, HandleCall, HandleCast, InitError};
//! # struct Cache(u32);
//! # impl GenServer for Cache { type Args = u32; async fn init(n: u32, _: &mut Cx<Self>) -> Result<Self, InitError> { Ok(Cache(n)) } }
//! #[derive(Clone)]
//! struct Size;
//! # impl HandleCall<Size> for Cache { type Reply = u32; async fn handle_call(&mut self, _: Size, _: &mut Cx<Self>) -> u32 { self.0 } }
//! #[derive(Clone)]
//! struct Clear;
//! # impl HandleCast<Clear> for Cache { async fn handle_cast(&mut self, _: Clear, _: &mut Cx<Self>) { self.0 = 0; } }
//! use purlin_core::{Name, Node, gen_server, secs};
//!
//! const CACHE: Name<Cache> = Name::new("cache");
//!
//! # tokio::runtime::Runtime::new().unwrap().block_on(async {
//! let nodes = ["a", "b", "c"].map(|name| Node::builder().name(name).start());
//! Cache::start(7).name(&CACHE).node(&nodes[0]).await?;
//! Cache::start(8).name(&CACHE).node(&nodes[1]).await?;
//!
//! let mut answers = gen_server::multi_call(&nodes, &CACHE, Size).timeout(secs(1)).await;
//! answers.replies.sort();
//! assert_eq!(answers.replies, [("a".to_owned(), 7), ("b".to_owned(), 8)]);
//! let (node, error) = &answers.bad_nodes[0];
//! assert!(node == "c" && error.is_no_proc());
//!
//! gen_server::abcast(&nodes, &CACHE, Clear);                        // where there is none, nothing happens
//! # for node in &nodes { node.shutdown().await; }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! # }).unwrap();
//! ```

use std::borrow::Borrow;
use std::fmt;
use std::future::IntoFuture;
use std::pin::Pin;
use std::time::Duration;

use crate::CallError;
use crate::gen_server::call_future::DEFAULT_CALL_TIMEOUT;
use crate::gen_server::refs::Name;
use crate::gen_server::request::RequestIds;
use crate::gen_server::traits::{CallFor, CastFor, GenServer};
use crate::node::Node;
use crate::timer::LONGEST;

/// Casts a message to the servers that have a name on several nodes. Where nobody has it, the message is lost; nothing waits and nothing
/// fails.
pub fn abcast<S, M, K>(nodes: impl IntoIterator<Item = impl Borrow<Node>>, name: &Name<S>, message: M)
where
    S: GenServer,
    M: CastFor<S, K> + Clone,
    K: 'static,
{
    for node in nodes {
        let _there = node.borrow().enter();
        name.cast(message.clone());
    }
}

/// Sends a request to the servers that have a name on several nodes, at once; awaiting the result collects their answers, for 5 s at most.
#[track_caller]
pub fn multi_call<S, M, K>(
    nodes: impl IntoIterator<Item = impl Borrow<Node>>,
    name: &Name<S>,
    message: M,
) -> MultiCall<M::Reply>
where
    S: GenServer,
    M: CallFor<S, K> + Clone,
    K: 'static,
{
    let mut requests = RequestIds::new();
    for node in nodes {
        let node = node.borrow();
        let there = node.enter();
        let request = name.send_request(message.clone());
        drop(there);
        requests.add(request, node.name().to_owned());
    }
    MultiCall { requests, limit: DEFAULT_CALL_TIMEOUT }
}

/// Requests that were sent to several nodes; from [`multi_call`]. Await it for the answers.
#[must_use = "the answers are there when this is awaited; no reply needed? use `abcast`"]
pub struct MultiCall<R> {
    requests: RequestIds<String, R>,
    limit: Duration,
}

/// What came of a [`multi_call`], by the names of nodes. The order is that of arrival.
#[derive(Clone, Debug)]
pub struct MultiReply<R> {
    /// The nodes whose servers have answered, with their answers.
    pub replies: Vec<(String, R)>,
    /// The nodes that gave none: nobody has the name there, the server ended, or it took too long.
    pub bad_nodes: Vec<(String, CallError)>,
}

impl<R: Send + 'static> MultiCall<R> {
    /// Waits for this long at most, instead of 5 s, for all answers together.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Waits until every server has answered or ended.
    ///
    /// ```
    /// # use purlin_core::{Cx, GenServer, HandleCall, InitError, Name, Node, gen_server};
    /// # #[derive(Clone)] struct Size; struct Cache;
    /// # impl GenServer for Cache { type Args = (); async fn init(_: (), _: &mut Cx<Self>) -> Result<Self, InitError> { Ok(Cache) } }
    /// # impl HandleCall<Size> for Cache { type Reply = u32; async fn handle_call(&mut self, _: Size, _: &mut Cx<Self>) -> u32 { 7 } }
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// # let node = Node::builder().start();
    /// # node.scope(async {
    /// let answers = gen_server::multi_call([Node::current()], &Name::<Cache>::new("cache"), Size).infinity().await;
    /// assert!(answers.replies.is_empty() && answers.bad_nodes.len() == 1);
    /// # }).await;
    /// # node.shutdown().await;
    /// # });
    /// ```
    pub fn infinity(mut self) -> Self {
        self.limit = LONGEST;
        self
    }

    async fn collect(mut self) -> MultiReply<R> {
        let mut answers = MultiReply { replies: Vec::new(), bad_nodes: Vec::new() };
        // Any of the nodes' clocks will do, as long as it is one and the same.
        let clock = self.requests.clock();
        let now = || clock.as_ref().map_or(Duration::ZERO, Node::now);
        let begin = now();
        loop {
            let left = self.limit.saturating_sub(now() - begin);
            match self.requests.wait_response(left).await {
                Ok((node, Ok(reply))) => answers.replies.push((node, reply)),
                Ok((node, Err(error))) => answers.bad_nodes.push((node, error)),
                Err(_) => break,
            }
        }
        answers.bad_nodes.extend(self.requests.into_timeouts());
        answers
    }
}

impl<R: Send + 'static> IntoFuture for MultiCall<R> {
    type Output = MultiReply<R>;
    type IntoFuture = Pin<Box<dyn Future<Output = MultiReply<R>> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.collect())
    }
}

impl<R> fmt::Debug for MultiCall<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MultiCall").field("waits_for", &self.requests).field("limit", &self.limit).finish()
    }
}
