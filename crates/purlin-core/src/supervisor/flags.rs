//! Supervisor flags: strategy, restart budget and automatic shutdown, with their validation.
//!
//! Defaults are Elixir's: `one_for_one`, 3 restarts within 5 seconds, `auto_shutdown` never.
//! What OTP rejects at run time but Rust's types cannot express (a negative intensity, an unknown
//! strategy) needs no check; what is left is reported as [`FlagsError`], which names the culprit.

use std::fmt;
use std::time::Duration;

use super::intensity::Intensity;

/// What a supervisor does with the other children when one has to be restarted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Strategy {
    /// Only the child that ended is restarted. The default.
    #[default]
    OneForOne,
    /// All other children are terminated in reverse start order, then all are started in order.
    OneForAll,
    /// The children started after the one that ended are terminated in reverse start order, then
    /// it and they are started in order.
    RestForOne,
}

/// Whether a supervisor stops by itself when its significant children have ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum AutoShutdown {
    /// It does not; significant children are rejected. The default.
    #[default]
    Never,
    /// It stops as soon as one significant child ends by itself and is not restarted.
    AnySignificant,
    /// It stops when a significant child ends by itself, is not restarted, and no other
    /// significant child is left running.
    AllSignificant,
}

/// The flags of a static supervisor.
///
/// ```
/// use purlin_core::supervisor::{Flags, FlagsError, Strategy};
/// use purlin_core::{AutoShutdown, millis, secs};
/// let flags = Flags { max_restarts: 9, auto_shutdown: AutoShutdown::AnySignificant, ..Flags::new(Strategy::OneForAll) };
/// assert_eq!((flags.period, flags.check()), (secs(5), Ok(())));
/// let odd = Flags { period: millis(1_500), ..flags };
/// assert_eq!(odd.check(), Err(FlagsError::InvalidPeriod { period: millis(1_500) }));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flags {
    /// The restart strategy; default `OneForOne`.
    pub strategy: Strategy,
    /// Restarts allowed within `period`; default 3. With 0 the first restart is one too many.
    pub max_restarts: u32,
    /// The window of `max_restarts`: whole seconds, at least one; default 5 seconds.
    pub period: Duration,
    /// Automatic shutdown; default `Never`.
    pub auto_shutdown: AutoShutdown,
}

/// The flags of a dynamic supervisor. Its strategy is always `OneForOne` and it never shuts down
/// by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DynamicFlags {
    /// Restarts allowed within `period`; default 3.
    pub max_restarts: u32,
    /// The window of `max_restarts`: whole seconds, at least one; default 5 seconds.
    pub period: Duration,
    /// Most children at a time, those being restarted included; default `None`, no limit.
    pub max_children: Option<usize>,
}

/// Why a set of supervisor flags was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FlagsError {
    /// The period is not a whole number of seconds between 1 and `u32::MAX`.
    InvalidPeriod {
        /// The period that was given.
        period: Duration,
    },
    /// A dynamic supervisor was given a strategy other than `OneForOne`.
    InvalidStrategy {
        /// The strategy that was given.
        strategy: Strategy,
    },
    /// A dynamic supervisor was given an `auto_shutdown` other than `Never`.
    InvalidAutoShutdown {
        /// The setting that was given.
        auto_shutdown: AutoShutdown,
    },
}

impl Default for Flags {
    fn default() -> Self {
        Self {
            strategy: Strategy::default(),
            max_restarts: DEFAULT_MAX_RESTARTS,
            period: DEFAULT_PERIOD,
            auto_shutdown: AutoShutdown::default(),
        }
    }
}

impl Default for DynamicFlags {
    fn default() -> Self {
        Self { max_restarts: DEFAULT_MAX_RESTARTS, period: DEFAULT_PERIOD, max_children: None }
    }
}

impl Flags {
    /// The default flags with another strategy.
    pub fn new(strategy: Strategy) -> Self {
        Self { strategy, ..Self::default() }
    }

    /// Checks the flags.
    ///
    /// # Errors
    /// [`FlagsError::InvalidPeriod`].
    pub fn check(&self) -> Result<(), FlagsError> {
        self.intensity().map(drop)
    }

    /// The restart budget these flags ask for, unused.
    pub(crate) fn intensity(&self) -> Result<Intensity, FlagsError> {
        intensity(self.max_restarts, self.period)
    }
}

impl DynamicFlags {
    /// Checks the flags.
    ///
    /// # Errors
    /// [`FlagsError::InvalidPeriod`].
    pub fn check(&self) -> Result<(), FlagsError> {
        self.intensity().map(drop)
    }

    /// The restart budget these flags ask for, unused.
    pub(crate) fn intensity(&self) -> Result<Intensity, FlagsError> {
        intensity(self.max_restarts, self.period)
    }
}

/// Flags written for a static supervisor, used for a dynamic one without a limit of children.
impl TryFrom<Flags> for DynamicFlags {
    type Error = FlagsError;

    fn try_from(flags: Flags) -> Result<Self, FlagsError> {
        flags.check()?;
        let Flags { strategy, max_restarts, period, auto_shutdown } = flags;
        if strategy != Strategy::OneForOne {
            return Err(FlagsError::InvalidStrategy { strategy });
        }
        if auto_shutdown != AutoShutdown::Never {
            return Err(FlagsError::InvalidAutoShutdown { auto_shutdown });
        }
        Ok(Self { max_restarts, period, max_children: None })
    }
}

/// A fraction of a second is refused rather than rounded: the window is counted in whole seconds
/// and a rounded one would allow more restarts than was asked for.
fn intensity(max_restarts: u32, period: Duration) -> Result<Intensity, FlagsError> {
    let whole = if period.subsec_nanos() == 0 { period.as_secs() } else { 0 };
    u32::try_from(whole)
        .ok()
        .and_then(|secs| Intensity::new(max_restarts, secs).ok())
        .ok_or(FlagsError::InvalidPeriod { period })
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Strategy::OneForOne => "one_for_one",
            Strategy::OneForAll => "one_for_all",
            Strategy::RestForOne => "rest_for_one",
        })
    }
}

impl fmt::Display for AutoShutdown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            AutoShutdown::Never => "never",
            AutoShutdown::AnySignificant => "any_significant",
            AutoShutdown::AllSignificant => "all_significant",
        })
    }
}

impl fmt::Display for FlagsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FlagsError::InvalidPeriod { period } => write!(
                f,
                "the restart period must be a whole number of seconds, at least one, and not {period:?}"
            ),
            FlagsError::InvalidStrategy { strategy } => {
                write!(f, "a dynamic supervisor is always one_for_one and cannot be {strategy}")
            },
            FlagsError::InvalidAutoShutdown { auto_shutdown } => write!(
                f,
                "a dynamic supervisor has no significant children, so auto_shutdown cannot be {auto_shutdown}"
            ),
        }
    }
}

impl std::error::Error for FlagsError {}

/// Elixir's default intensity (OTP's own is 1).
const DEFAULT_MAX_RESTARTS: u32 = 3;
/// The default period of OTP and Elixir.
const DEFAULT_PERIOD: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s10_flags_default_to_three_restarts_in_five_seconds() {
        let flags = Flags::default();
        assert_eq!(flags, Flags::new(Strategy::OneForOne));
        assert_eq!((flags.max_restarts, flags.period), (3, Duration::from_secs(5)));
        assert_eq!(flags.auto_shutdown, AutoShutdown::Never);
        assert_eq!(flags.check(), Ok(()));
        assert_eq!(DynamicFlags::default().max_children, None);
        assert_eq!(DynamicFlags::default().check(), Ok(()));
    }

    #[test]
    fn s10_a_period_that_is_no_whole_number_of_seconds_is_rejected_by_name() {
        for millis in [0, 999, 1500, (u64::from(u32::MAX) + 1) * 1000] {
            let period = Duration::from_millis(millis);
            let error = FlagsError::InvalidPeriod { period };
            assert_eq!(Flags { period, ..Flags::default() }.check(), Err(error.clone()));
            assert_eq!(DynamicFlags { period, ..DynamicFlags::default() }.check(), Err(error));
        }
        let text = FlagsError::InvalidPeriod { period: Duration::from_millis(1500) }.to_string();
        assert!(text.ends_with("and not 1.5s"), "{text}");
    }

    #[test]
    fn s88_a_dynamic_supervisor_rejects_auto_shutdown_and_other_strategies() {
        let auto_shutdown = AutoShutdown::AnySignificant;
        assert_eq!(
            DynamicFlags::try_from(Flags { auto_shutdown, ..Flags::default() }),
            Err(FlagsError::InvalidAutoShutdown { auto_shutdown })
        );
        let strategy = Strategy::RestForOne;
        assert_eq!(
            DynamicFlags::try_from(Flags::new(strategy)),
            Err(FlagsError::InvalidStrategy { strategy })
        );
        assert_eq!(DynamicFlags::try_from(Flags::default()), Ok(DynamicFlags::default()));
    }

    #[test]
    fn s10_a_dynamic_supervisor_refuses_the_flags_that_a_static_one_refuses() {
        let period = Duration::from_millis(1500);
        let flags = Flags { period, ..Flags::default() };
        assert_eq!(DynamicFlags::try_from(flags), Err(FlagsError::InvalidPeriod { period }));
    }
}
