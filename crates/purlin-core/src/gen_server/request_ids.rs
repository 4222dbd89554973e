//! Collections of requests, whose answers are taken in the order in which they arrive.
//!
//! Each request's slot gets a waker of its own, which writes down which one it was: asking for the next answer looks at that list and
//! not at all requests, however many there are.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use crate::CallError;
use crate::gen_server::request::{Request, alarm};
use crate::node::Node;
use crate::sync::Mutex;

/// Requests under way, each with a label. See the [module documentation](super::request).
///
/// All answers have the type `R`; the label, of any type, says what an answer belongs to. Dropping the collection abandons what is in it.
///
/// ```
/// # use purlin_core::{Cx, GenServer, HandleCall, InitError};
/// # struct Stack(u8); struct Pop;
/// # impl GenServer for Stack { type Args = u8; async fn init(n: u8, _: &mut Cx<Self>) -> Result<Self, InitError> { Ok(Stack(n)) } }
/// # impl HandleCall<Pop> for Stack { type Reply = u8; async fn handle_call(&mut self, _: Pop, _: &mut Cx<Self>) -> u8 { self.0 } }
/// # tokio::runtime::Runtime::new().unwrap().block_on(async {
/// # let node = purlin_core::Node::builder().start();
/// # node.scope(async {
/// use purlin_core::{RequestIds, secs};
/// let mut requests = RequestIds::new();
/// for n in [3, 4] {
///     requests.add(Stack::start(n).await?.send_request(Pop), format!("stack {n}"));
/// }
/// assert_eq!(requests.len(), 2);
/// let (label, answer) = requests.receive_response(secs(5)).await?;
/// assert_eq!(label, format!("stack {}", answer?));
/// assert_eq!(requests.labels().count(), 1);                          // the other one's
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # }).await.unwrap();
/// # node.shutdown().await;
/// # });
/// ```
pub struct RequestIds<L, R> {
    requests: BTreeMap<u64, Entry<L, R>>,
    arrived: Arc<Arrived>,
    next: u64,
}

struct Entry<L, R> {
    label: L,
    request: Request<R>,
    /// What its slot wakes.
    waker: Waker,
    /// It was there when the request was added.
    answer: Option<Result<R, CallError>>,
}

/// The requests whose slots are done, the first one first; and who is to be told of the next.
#[derive(Default)]
struct Arrived(Mutex<(VecDeque<u64>, Option<Waker>)>);

/// The waker of one request.
struct Bell {
    arrived: Arc<Arrived>,
    id: u64,
}

impl Arrived {
    fn push(&self, id: u64) {
        let waker = {
            let mut arrived = self.0.lock();
            arrived.0.push_back(id);
            arrived.1.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.arrived.push(self.id);
    }
}

/// Why a collection gave no answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum NoResponse {
    /// No answer has come, within the time given.
    NotYet,
    /// There is no request in the collection.
    NoRequest,
}

impl fmt::Display for NoResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            NoResponse::NotYet => "no answer has come in time",
            NoResponse::NoRequest => "there is no request to wait for",
        })
    }
}

impl std::error::Error for NoResponse {}

impl<L, R> Default for RequestIds<L, R> {
    fn default() -> Self {
        RequestIds { requests: BTreeMap::new(), arrived: Arc::default(), next: 0 }
    }
}

impl<L, R> RequestIds<L, R> {
    /// Without requests.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many requests there are whose answers have not been taken.
    pub fn len(&self) -> usize {
        self.requests.len()
    }

    /// Are there none?
    pub fn is_empty(&self) -> bool {
        self.requests.is_empty()
    }

    /// The labels of the requests whose answers have not been taken, in the order in which they were added.
    pub fn labels(&self) -> impl Iterator<Item = &L> {
        self.requests.values().map(|entry| &entry.label)
    }
}

impl<L, R: Send + 'static> RequestIds<L, R> {
    /// Adds a request.
    pub fn add(&mut self, mut request: Request<R>, label: L) {
        let id = self.next;
        self.next += 1;
        let waker = Waker::from(Arc::new(Bell { arrived: self.arrived.clone(), id }));
        // This leaves the bell in the slot: from now on answers are taken in the order in which they arrive.
        let answer = match request.poll_response(&mut Context::from_waker(&waker)) {
            Poll::Ready(answer) => Some(answer),
            Poll::Pending => None,
        };
        let is_there = answer.is_some();
        self.requests.insert(id, Entry { label, request, waker, answer });
        if is_there {
            self.arrived.push(id);
        }
    }

    /// Waits for the next answer, for `limit` at most; if none has come by then, all requests are abandoned. The answer's request
    /// is taken out.
    ///
    /// # Errors
    /// [`NoResponse::NotYet`] when none has come in time, and [`NoResponse::NoRequest`] without requests.
    pub async fn receive_response(
        &mut self,
        limit: Duration,
    ) -> Result<(L, Result<R, CallError>), NoResponse> {
        let response = self.wait_response(limit).await;
        if let Err(NoResponse::NotYet) = response {
            *self = Self::default();
        }
        response
    }

    /// Waits for the next answer, for `limit` at most; if none has come by then, one may wait again. The answer's request is taken out.
    ///
    /// # Errors
    /// As for [`receive_response`](Self::receive_response).
    pub async fn wait_response(&mut self, limit: Duration) -> Result<(L, Result<R, CallError>), NoResponse> {
        if self.is_empty() {
            return Err(NoResponse::NoRequest);
        }
        let mut alarm = self.clock().map(|node| alarm(&node, limit));
        poll_fn(|cx| match (self.poll_next(cx), &mut alarm) {
            (Poll::Ready(response), _) => Poll::Ready(Ok(response)),
            (Poll::Pending, Some(alarm)) => alarm.poll(cx).map(|()| Err(NoResponse::NotYet)),
            (Poll::Pending, None) => Poll::Pending,
        })
        .await
    }

    /// The next answer, if one is there. Never waits. Its request is taken out.
    ///
    /// # Errors
    /// As for [`receive_response`](Self::receive_response).
    ///
    /// ```
    /// # use purlin_core::{NoResponse, RequestIds};
    /// let mut requests = RequestIds::<&str, u8>::new();
    /// assert_eq!(requests.check_response().unwrap_err(), NoResponse::NoRequest);
    /// assert!(requests.is_empty());
    /// ```
    pub fn check_response(&mut self) -> Result<(L, Result<R, CallError>), NoResponse> {
        if self.is_empty() {
            return Err(NoResponse::NoRequest);
        }
        match self.poll_next(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(response) => Ok(response),
            Poll::Pending => Err(NoResponse::NotYet),
        }
    }

    /// A node whose clock limits a wait. A request that was never sent has none, but its outcome is known, and nobody waits for it.
    pub(super) fn clock(&self) -> Option<Node> {
        self.requests.values().find_map(|entry| entry.request.node()).cloned()
    }

    /// Gives up all requests, each with the error of having waited for too long.
    pub(super) fn into_timeouts(self) -> impl Iterator<Item = (L, CallError)> {
        self.requests.into_values().map(|entry| (entry.label, entry.request.timeout()))
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<(L, Result<R, CallError>)> {
        loop {
            let (id, unused) = {
                let mut arrived = self.arrived.0.lock();
                match arrived.0.pop_front() {
                    Some(id) => (Some(id), None),
                    None => (None, arrived.1.replace(cx.waker().clone())),
                }
            };
            drop(unused);
            let Some(id) = id else { return Poll::Pending };
            let Some(entry) = self.requests.get_mut(&id) else { continue };
            let polled = match entry.answer.take() {
                Some(answer) => Poll::Ready(answer),
                None => entry.request.poll_response(&mut Context::from_waker(&entry.waker)),
            };
            if let Poll::Ready(answer) = polled
                && let Some(entry) = self.requests.remove(&id)
            {
                return Poll::Ready((entry.label, answer));
            }
        }
    }
}

impl<L: fmt::Debug, R> fmt::Debug for RequestIds<L, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.labels()).finish()
    }
}
