//! Sets of bits that stand in maps.

/// Defines a set of bits of type `$bits` as plain old data.
macro_rules! flags {
    (
        $(#[$about:meta])*
        pub struct $name:ident($bits:ty);
        $($(#[$about_flag:meta])* $flag:ident = $value:expr;)*
    ) => {
        $(#[$about])*
        #[derive(
            Clone,
            Copy,
            PartialEq,
            Eq,
            PartialOrd,
            Ord,
            Hash,
            Debug,
            Default,
            zerocopy::FromBytes,
            zerocopy::IntoBytes,
            zerocopy::Immutable,
            zerocopy::KnownLayout,
        )]
        #[repr(transparent)]
        pub struct $name(pub $bits);

        impl $name {
            $($(#[$about_flag])* pub const $flag: Self = Self($value);)*

            /// True if every bit of `other` is set here.
            #[inline(always)]
            #[must_use]
            pub const fn contains(self, other: Self) -> bool {
                self.0 & other.0 == other.0
            }

            /// The bits of both.
            #[inline(always)]
            #[must_use]
            pub const fn union(self, other: Self) -> Self {
                Self(self.0 | other.0)
            }
        }

        impl core::ops::BitOrAssign for $name {
            fn bitor_assign(&mut self, other: Self) {
                self.0 |= other.0;
            }
        }
    };
}

pub(crate) use flags;
