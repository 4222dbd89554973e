//! Child specifications without their start function: plain data and its validation.
//!
//! | field | default |
//! |---|---|
//! | `restart` | `Permanent` |
//! | `shutdown` | 5 seconds for a worker, `Infinity` for a supervisor |
//! | `significant` | `false` |
//! | `child_type` | `Worker` |
//!
//! What OTP rejects at run time but Rust's types cannot express (an unknown restart type, a
//! negative shutdown time, modules that are no atoms) needs no check.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use super::flags::AutoShutdown;
use crate::ExitReason;

/// When a child that has ended is started again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Restart {
    /// Always. The default.
    #[default]
    Permanent,
    /// Only if it ended with a reason other than normal or shutdown.
    Transient,
    /// Never; its specification is forgotten when it ends.
    Temporary,
}

/// How a child is terminated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Shutdown {
    /// It is killed at once and cannot clean up.
    BrutalKill,
    /// It is asked to shut down, and killed if it has not ended after this time.
    Timeout(Duration),
    /// It is asked to shut down and waited for without a limit: right for supervisors.
    Infinity,
}

/// Whether a child is a supervisor itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ChildType {
    /// It does work. The default.
    #[default]
    Worker,
    /// It supervises other children.
    Supervisor,
}

/// The identifier of a child within its supervisor. Cloning is cheap. Compared, ordered and hashed by its text.
#[derive(Clone)]
pub struct ChildId(Text);

/// Most ids are the names of types: those need no memory of their own, which counts when children are started by the thousand.
#[derive(Clone)]
enum Text {
    Static(&'static str),
    Shared(Arc<str>),
}

/// Everything a supervisor knows about a child apart from how it is started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpecFields {
    /// Unique within the supervisor; not empty.
    pub id: ChildId,
    /// When the child is started again; default `Permanent`.
    pub restart: Restart,
    /// How it is terminated; `None` is the default of its type, see [`SpecFields::how_to_stop`].
    pub shutdown: Option<Shutdown>,
    /// Whether its end can stop the supervisor (see [`AutoShutdown`]); default `false`.
    pub significant: bool,
    /// Worker or supervisor; default `Worker`.
    pub child_type: ChildType,
    /// The name it registers under, for reports; default none.
    pub name: Option<Arc<str>>,
    /// The type that implements the child, for reports.
    pub module: &'static str,
}

/// Why a child specification was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SpecError {
    /// The id is empty.
    MissingId {
        /// The type that implements the child.
        module: &'static str,
    },
    /// Two children of one supervisor have the same id.
    DuplicateId {
        /// The id they share.
        id: ChildId,
    },
    /// The child is significant but its supervisor never shuts down by itself.
    SignificantButNeverShutdown {
        /// The child.
        id: ChildId,
    },
    /// The child is significant but permanent: it is always restarted, so its end cannot count.
    SignificantButPermanent {
        /// The child.
        id: ChildId,
    },
}

/// Checks a list of specifications as a supervisor with this `auto_shutdown` would.
///
/// With `None` the rule that depends on the supervisor (significant children need an
/// `auto_shutdown` other than `Never`) is left out.
///
/// ```
/// use purlin_core::supervisor::{ChildId, ChildType, Shutdown, SpecError, SpecFields, check_childspecs};
/// const DB: ChildId = ChildId::from_static("db");
/// let fields = SpecFields::new(DB, "Db").child_type(ChildType::Supervisor).significant(true);
/// assert_eq!(fields.how_to_stop(), Shutdown::Infinity);
/// assert_eq!(fields.check(None), Err(SpecError::SignificantButPermanent { id: DB }));
/// let fields = SpecFields::new(DB, "Db");
/// assert_eq!(check_childspecs([&fields, &fields], None), Err(SpecError::DuplicateId { id: DB }));
/// ```
///
/// # Errors
/// The first problem in list order.
pub fn check_childspecs<'a>(
    list: impl IntoIterator<Item = &'a SpecFields>,
    auto_shutdown: impl Into<Option<AutoShutdown>>,
) -> Result<(), SpecError> {
    let auto_shutdown = auto_shutdown.into();
    let mut seen = BTreeSet::new();
    for fields in list {
        fields.check(auto_shutdown)?;
        if !seen.insert(&fields.id) {
            return Err(SpecError::DuplicateId { id: fields.id.clone() });
        }
    }
    Ok(())
}

impl SpecFields {
    /// The default specification of a worker called `id`, implemented by type `module`.
    pub fn new(id: impl Into<ChildId>, module: &'static str) -> Self {
        Self {
            id: id.into(),
            restart: Restart::default(),
            shutdown: None,
            significant: false,
            child_type: ChildType::default(),
            name: None,
            module,
        }
    }

    /// Replaces the id.
    #[must_use]
    pub fn id(mut self, id: impl Into<ChildId>) -> Self {
        self.id = id.into();
        self
    }

    /// Sets when the child is started again.
    #[must_use]
    pub fn restart(mut self, restart: Restart) -> Self {
        self.restart = restart;
        self
    }

    /// Sets how the child is terminated; takes a [`Shutdown`] or a `Duration`.
    #[must_use]
    pub fn shutdown(mut self, shutdown: impl Into<Shutdown>) -> Self {
        self.shutdown = Some(shutdown.into());
        self
    }

    /// Sets whether the child's end can stop the supervisor.
    #[must_use]
    pub fn significant(mut self, significant: bool) -> Self {
        self.significant = significant;
        self
    }

    /// Sets whether the child is a supervisor; the default of `shutdown` follows.
    #[must_use]
    pub fn child_type(mut self, child_type: ChildType) -> Self {
        self.child_type = child_type;
        self
    }

    /// Sets the name shown in reports.
    #[must_use]
    pub fn name(mut self, name: impl Into<Arc<str>>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// How the child is terminated: what was set, or 5 seconds for a worker and `Infinity` for a
    /// supervisor.
    pub fn how_to_stop(&self) -> Shutdown {
        self.shutdown.unwrap_or(match self.child_type {
            ChildType::Worker => Shutdown::Timeout(DEFAULT_WORKER_SHUTDOWN),
            ChildType::Supervisor => Shutdown::Infinity,
        })
    }

    /// Checks this specification on its own; see [`check_childspecs`].
    ///
    /// # Errors
    /// Every [`SpecError`] but `DuplicateId`.
    pub fn check(&self, auto_shutdown: Option<AutoShutdown>) -> Result<(), SpecError> {
        if self.id.as_str().is_empty() {
            return Err(SpecError::MissingId { module: self.module });
        }
        if self.significant && auto_shutdown == Some(AutoShutdown::Never) {
            return Err(SpecError::SignificantButNeverShutdown { id: self.id.clone() });
        }
        if self.significant && self.restart == Restart::Permanent {
            return Err(SpecError::SignificantButPermanent { id: self.id.clone() });
        }
        Ok(())
    }

    /// Whether `reason` is how a child with this specification may end when a *static* supervisor
    /// terminates it; any other reason is reported as `shutdown_error` and changes nothing else.
    pub(crate) fn expects_stop(&self, reason: &ExitReason) -> bool {
        let asked_for = match self.how_to_stop() {
            Shutdown::BrutalKill => matches!(reason, ExitReason::Killed),
            Shutdown::Timeout(_) | Shutdown::Infinity => matches!(reason, ExitReason::Shutdown),
        };
        asked_for || (self.restart != Restart::Permanent && reason.is_clean())
    }
}

impl Restart {
    /// Whether a child that ended by itself with `reason` is started again.
    ///
    /// ```
    /// use purlin_core::{ExitReason, Restart};
    /// assert!(!Restart::Transient.restarts_after(&ExitReason::Shutdown));
    /// assert!(Restart::Transient.restarts_after(&ExitReason::Killed));
    /// assert!(Restart::Permanent.reports(&ExitReason::Normal) && !Restart::Temporary.reports(&ExitReason::Normal));
    /// ```
    pub fn restarts_after(self, reason: &ExitReason) -> bool {
        match self {
            Restart::Permanent => true,
            Restart::Transient => !reason.is_clean(),
            Restart::Temporary => false,
        }
    }

    /// Whether such an end is reported as `child_terminated`: a clean one is worth a report only
    /// if the child was meant to live for ever.
    pub fn reports(self, reason: &ExitReason) -> bool {
        self == Restart::Permanent || !reason.is_clean()
    }
}

impl From<Duration> for Shutdown {
    fn from(limit: Duration) -> Self {
        Shutdown::Timeout(limit)
    }
}

impl ChildId {
    /// An id that needs no memory.
    pub const fn from_static(id: &'static str) -> Self {
        Self(Text::Static(id))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Text::Static(id) => id,
            Text::Shared(id) => id,
        }
    }
}

impl From<&str> for ChildId {
    fn from(id: &str) -> Self {
        Self(Text::Shared(id.into()))
    }
}

impl From<String> for ChildId {
    fn from(id: String) -> Self {
        Self(Text::Shared(id.into()))
    }
}

impl From<Arc<str>> for ChildId {
    fn from(id: Arc<str>) -> Self {
        Self(Text::Shared(id))
    }
}

impl PartialEq for ChildId {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for ChildId {}

impl PartialOrd for ChildId {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for ChildId {
    fn cmp(&self, other: &Self) -> Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl Hash for ChildId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl From<&ChildId> for ChildId {
    fn from(id: &ChildId) -> Self {
        id.clone()
    }
}

impl AsRef<str> for ChildId {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

/// Lets maps keyed by id be asked with a `&str`; equality, order and hash are those of the text.
impl Borrow<str> for ChildId {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl PartialEq<str> for ChildId {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}

impl PartialEq<&str> for ChildId {
    fn eq(&self, other: &&str) -> bool {
        self.as_str() == *other
    }
}

impl fmt::Display for ChildId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for ChildId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for Restart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Restart::Permanent => "permanent",
            Restart::Transient => "transient",
            Restart::Temporary => "temporary",
        })
    }
}

impl fmt::Display for Shutdown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Shutdown::BrutalKill => f.write_str("brutal_kill"),
            Shutdown::Timeout(limit) => write!(f, "{limit:?}"),
            Shutdown::Infinity => f.write_str("infinity"),
        }
    }
}

impl fmt::Display for ChildType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ChildType::Worker => "worker",
            ChildType::Supervisor => "supervisor",
        })
    }
}

impl fmt::Display for SpecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SpecError::MissingId { module } => {
                write!(f, "a child of type `{module}` has an empty id")
            },
            SpecError::DuplicateId { id } => {
                write!(f, "two children have the id `{id}`; give one of them another with `.id(..)`")
            },
            SpecError::SignificantButNeverShutdown { id } => write!(
                f,
                "child `{id}` is significant, but its supervisor never shuts down by itself; \
                 set `.auto_shutdown(..)` on the supervisor"
            ),
            SpecError::SignificantButPermanent { id } => write!(
                f,
                "child `{id}` is significant and permanent, but a permanent child is always \
                 restarted; make it transient or temporary"
            ),
        }
    }
}

impl std::error::Error for SpecError {}

/// OTP's default for workers.
const DEFAULT_WORKER_SHUTDOWN: Duration = Duration::from_millis(5000);

#[cfg(test)]
mod tests {
    use super::*;

    fn worker(id: &str) -> SpecFields {
        SpecFields::new(id, "Worker")
    }

    #[test]
    fn s11_duplicate_ids_are_rejected_by_name() {
        let list = [worker("a"), worker("b"), worker("a")];
        let error = SpecError::DuplicateId { id: "a".into() };
        assert_eq!(check_childspecs(&list, AutoShutdown::Never), Err(error.clone()));
        assert!(error.to_string().starts_with("two children have the id `a`"));
        assert_eq!(check_childspecs(&list[..2], AutoShutdown::Never), Ok(()));
    }

    #[test]
    fn s12_an_empty_id_is_rejected() {
        assert_eq!(check_childspecs(&[worker("")], None), Err(SpecError::MissingId { module: "Worker" }));
    }

    #[test]
    fn s13_a_shutdown_time_of_zero_is_valid() {
        let fields = worker("a").shutdown(Duration::ZERO);
        assert_eq!(fields.check(None), Ok(()));
        assert_eq!(fields.how_to_stop(), Shutdown::Timeout(Duration::ZERO));
    }

    #[test]
    fn s14_defaults_are_permanent_worker_with_five_seconds_or_infinity_for_supervisors() {
        let fields = worker("a");
        assert_eq!(fields.restart, Restart::Permanent);
        assert_eq!(fields.child_type, ChildType::Worker);
        assert!(!fields.significant);
        assert_eq!(fields.how_to_stop(), Shutdown::Timeout(Duration::from_secs(5)));
        let fields = fields.child_type(ChildType::Supervisor);
        assert_eq!(fields.how_to_stop(), Shutdown::Infinity);
        let fields = fields.shutdown(Shutdown::BrutalKill).child_type(ChildType::Worker);
        assert_eq!(fields.how_to_stop(), Shutdown::BrutalKill);
    }

    #[test]
    fn s83_significant_children_need_auto_shutdown_and_must_not_be_permanent() {
        let permanent = worker("a").significant(true);
        let transient = permanent.clone().restart(Restart::Transient);
        let check = |fields: &SpecFields, auto: Option<AutoShutdown>| check_childspecs([fields], auto);
        let id = ChildId::from("a");
        let never = SpecError::SignificantButNeverShutdown { id: id.clone() };
        let always_restarted = SpecError::SignificantButPermanent { id };
        assert_eq!(check(&permanent, Some(AutoShutdown::Never)), Err(never.clone()));
        assert_eq!(check(&transient, Some(AutoShutdown::Never)), Err(never));
        for auto in [AutoShutdown::AnySignificant, AutoShutdown::AllSignificant] {
            assert_eq!(check(&permanent, Some(auto)), Err(always_restarted.clone()));
            assert_eq!(check(&transient, Some(auto)), Ok(()));
        }
        assert_eq!(check(&permanent, None), Err(always_restarted));
        assert_eq!(check(&transient, None), Ok(()));
    }

    #[test]
    fn s39_s40_s41_s42_s43_restart_types_decide_by_how_the_child_ended() {
        let ends = [ExitReason::Normal, ExitReason::Shutdown, ExitReason::Killed, ExitReason::NoProc];
        let after = |restart: Restart| ends.iter().map(|r| restart.restarts_after(r)).collect::<Vec<_>>();
        assert_eq!(after(Restart::Permanent), [true, true, true, true]);
        assert_eq!(after(Restart::Transient), [false, false, true, true]);
        assert_eq!(after(Restart::Temporary), [false, false, false, false]);
    }

    #[test]
    fn s47_clean_ends_are_reported_for_permanent_children_only() {
        assert!(Restart::Permanent.reports(&ExitReason::Normal));
        assert!(!Restart::Transient.reports(&ExitReason::Shutdown));
        assert!(!Restart::Temporary.reports(&ExitReason::Normal));
        assert!(Restart::Temporary.reports(&ExitReason::Killed));
    }

    #[test]
    fn s77_unexpected_reasons_during_termination_are_told_apart() {
        let permanent = worker("a");
        assert!(permanent.expects_stop(&ExitReason::Shutdown));
        assert!(!permanent.expects_stop(&ExitReason::Normal));
        assert!(!permanent.expects_stop(&ExitReason::Killed));
        let transient = permanent.restart(Restart::Transient);
        assert!(transient.expects_stop(&ExitReason::Normal));
        assert!(!transient.expects_stop(&ExitReason::Killed));
        let brutal = transient.shutdown(Shutdown::BrutalKill);
        assert!(brutal.expects_stop(&ExitReason::Killed));
        assert!(brutal.expects_stop(&ExitReason::Shutdown));
        assert!(!brutal.restart(Restart::Permanent).expects_stop(&ExitReason::Shutdown));
    }

    #[test]
    fn ids_print_as_their_text_and_can_be_asked_for_as_str() {
        let id = ChildId::from(String::from("db"));
        assert_eq!((id.to_string().as_str(), format!("{id:?}").as_str()), ("db", "\"db\""));
        assert!(id == "db" && id.as_ref() == "db");
    }

    #[test]
    fn ids_are_ordered_and_found_like_their_texts() {
        let (a, b) = (ChildId::from_static("a"), ChildId::from("b"));
        assert!(a < b && a.partial_cmp(&b) == Some(Ordering::Less));
        let all: std::collections::HashSet<ChildId> = [a, b].into();
        assert!(all.contains("a") && all.contains("b") && !all.contains("c"));
    }

    #[test]
    fn every_field_can_be_replaced() {
        let fields = worker("a").id("b").name("the worker").significant(true);
        assert_eq!((fields.id.as_str(), fields.name.as_deref()), ("b", Some("the worker")));
        assert!(fields.significant && !fields.significant(false).significant);
    }
}
