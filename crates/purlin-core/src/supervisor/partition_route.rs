//! Which partition a key belongs to: pure, and the same in every run of a program.
//!
//! A key that is one integer goes by its absolute value modulo the number of partitions, as in Elixir, so that neighbours spread evenly and
//! everybody can tell a key's partition by looking at it. Every other key goes by its hash.
//!
//! What a key is, its `Hash` says: a [`Router`] is a hasher that takes note of the first integer, and begins to hash when something else
//! follows. So a newtype around an integer is an integer too, and so are a `char` and an `enum` without fields.

use std::hash::{BuildHasher, Hash, Hasher};

use crate::hash::{Fold, Seeds};

/// What a key comes to, before the number of partitions is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Route(u64);

impl Route {
    #[inline]
    pub(crate) fn of(key: &(impl Hash + ?Sized)) -> Route {
        let mut router = Router::Nothing;
        key.hash(&mut router);
        Route(router.finish())
    }

    /// The partition among `n`; `n` is not 0.
    #[inline]
    pub(crate) fn among(self, n: usize) -> usize {
        (self.0 % n as u64) as usize
    }
}

/// Fixed, so that a partition that keeps its part of something (a file, say) finds the same keys in it after the program was started again.
const SEEDS: Seeds = Seeds::fixed(0x9e37_79b9_7f4a_7c15, 0xd6e8_feb8_6659_fd93);

enum Router {
    Nothing,
    Integer(u64),
    Hashing(Fold),
}

impl Router {
    /// The hasher, which has taken in what came before.
    #[inline]
    fn hasher(&mut self) -> &mut Fold {
        if !matches!(self, Router::Hashing(_)) {
            let mut hasher = SEEDS.build_hasher();
            if let Router::Integer(n) = *self {
                hasher.write_u64(n);
            }
            *self = Router::Hashing(hasher);
        }
        match self {
            Router::Hashing(hasher) => hasher,
            _ => unreachable!("made just above"),
        }
    }

    #[inline]
    fn integer(&mut self, magnitude: u64) {
        match self {
            Router::Nothing => *self = Router::Integer(magnitude),
            _ => self.hasher().write_u64(magnitude),
        }
    }
}

macro_rules! integers {
    ($($write:ident($integer:ty) $magnitude:expr;)+) => {
        $(
            #[inline]
            fn $write(&mut self, n: $integer) {
                let magnitude: fn($integer) -> u64 = $magnitude;
                self.integer(magnitude(n));
            }
        )+
    };
}

impl Hasher for Router {
    #[inline]
    fn write(&mut self, bytes: &[u8]) {
        self.hasher().write(bytes);
    }

    integers! {
        write_u8(u8) u64::from;
        write_u16(u16) u64::from;
        write_u32(u32) u64::from;
        write_u64(u64) |n| n;
        write_usize(usize) |n| n as u64;
        write_i8(i8) |n| n.unsigned_abs().into();
        write_i16(i16) |n| n.unsigned_abs().into();
        write_i32(i32) |n| n.unsigned_abs().into();
        write_i64(i64) i64::unsigned_abs;
        write_isize(isize) |n| n.unsigned_abs() as u64;
    }

    // Larger than a route: these go by their hash.
    fn write_u128(&mut self, n: u128) {
        self.hasher().write_u128(n);
    }

    fn write_i128(&mut self, n: i128) {
        self.hasher().write_i128(n);
    }

    #[inline]
    fn finish(&self) -> u64 {
        match self {
            Router::Nothing => 0,
            Router::Integer(n) => *n,
            Router::Hashing(hasher) => hasher.finish(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_integer_goes_by_its_absolute_value() {
        for n in 1..9 {
            for key in -20..20i64 {
                assert_eq!(Route::of(&key).among(n), key.unsigned_abs() as usize % n);
            }
        }
        assert_eq!(Route::of(&i64::MIN).among(1000), 808);
        assert_eq!(Route::of(&i32::MIN).among(1000), 648);
        assert_eq!(Route::of(&-7i8), Route::of(&7usize));
    }

    #[test]
    fn what_wraps_an_integer_is_one() {
        #[derive(Hash)]
        struct UserId(u32);
        assert_eq!(Route::of(&UserId(7)).among(5), 2);
        assert_eq!(Route::of(&&Box::new(7u16)).among(5), 2);
        assert_eq!(Route::of("7"), Route::of(&String::from("7")));
    }

    #[test]
    fn a_second_integer_makes_a_hash_of_both() {
        let routes =
            [Route::of(&(1u32, 2u32)), Route::of(&(2u32, 1u32)), Route::of(&(1u32, 3u32)), Route::of(&1u32)];
        for (at, route) in routes.iter().enumerate() {
            assert!(!routes[..at].contains(route), "{routes:?}");
        }
    }

    #[test]
    fn texts_spread_evenly_and_always_in_the_same_way() {
        let mut shares = [0; 4];
        for n in 0..4000 {
            shares[Route::of(&format!("user-{n}")).among(4)] += 1;
        }
        assert!(shares.iter().all(|n| (900..1100).contains(n)), "{shares:?}");
        assert_eq!(Route::of("lobby"), Route::of("lobby"));
    }

    #[test]
    fn a_key_without_content_has_a_partition_too() {
        assert_eq!(Route::of(&()).among(3), 0);
    }
}
