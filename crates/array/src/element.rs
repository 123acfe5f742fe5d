//! Types of elements, and their arithmetic.

use std::fmt::Debug;

use bytemuck::{CheckedBitPattern, NoUninit};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Type of the elements of an array: `bool`, `f32`, `f64`, and the integers from 8 to 64 bits.
///
/// Only this crate implements it.
pub trait Element:
    Copy
    + Debug
    + Default
    + PartialEq
    + PartialOrd
    + Send
    + Sync
    + Serialize
    + DeserializeOwned
    + NoUninit
    + CheckedBitPattern
    + sealed::Sealed
    + 'static
{
    /// The type as NumPy names it, without the byte order: `f8`, `i4`, `b1`.
    const KIND: &'static str;

    /// Reads a part of a dataset.
    #[cfg(feature = "hdf5")]
    #[doc(hidden)]
    fn read_hdf5(
        dataset: &hdf5_reader::Dataset,
        slice: &hdf5_reader::SliceInfo,
    ) -> Result<ndarray::ArrayD<Self>, hdf5_reader::error::Error>;

    /// Returns an error if elements of a dataset have another type.
    #[cfg(feature = "hdf5")]
    #[doc(hidden)]
    fn check_hdf5(kind: &hdf5_reader::Datatype) -> Result<(), hdf5_reader::error::Error>;

    /// Reads a part of a variable.
    #[cfg(feature = "netcdf")]
    #[doc(hidden)]
    fn read_netcdf(
        file: &netcdf_reader::NcFile,
        variable: &str,
        slice: &netcdf_reader::NcSliceInfo,
    ) -> Result<ndarray::ArrayD<Self>, netcdf_reader::Error>;

    /// Returns an error if elements of a variable have another type.
    #[cfg(feature = "netcdf")]
    #[doc(hidden)]
    fn check_netcdf(kind: &netcdf_reader::NcType) -> Result<(), netcdf_reader::Error>;
}

mod sealed {
    /// Types that zarr has, too.
    #[cfg(feature = "zarr")]
    pub trait Sealed: zarrs::array::ElementOwned {}

    #[cfg(not(feature = "zarr"))]
    pub trait Sealed {}
}

/// Elements with arithmetic. That of integers wraps around, as in NumPy.
///
/// Only this crate implements it.
pub trait Number: Element {
    /// Type of sums: `i64` or `u64` for integers, otherwise the type itself.
    type Sum: Number;
    /// Type of means: `f32` for `f32`, otherwise `f64`.
    type Mean: Number;
    /// Type in which sums are computed.
    #[doc(hidden)]
    type Wide: Number;
    #[doc(hidden)]
    const LEAST: Self;
    #[doc(hidden)]
    const GREATEST: Self;

    #[doc(hidden)]
    fn plus(self, other: Self) -> Self;
    #[doc(hidden)]
    fn minus(self, other: Self) -> Self;
    #[doc(hidden)]
    fn times(self, other: Self) -> Self;
    #[doc(hidden)]
    fn over(self, other: Self) -> Self;
    #[doc(hidden)]
    fn is_nan_value(self) -> bool;
    #[doc(hidden)]
    fn widen(self) -> Self::Wide;
    #[doc(hidden)]
    fn sum_of(wide: Self::Wide) -> Self::Sum;
    #[doc(hidden)]
    fn mean_of(mean: f64) -> Self::Mean;
    #[doc(hidden)]
    fn as_f64(self) -> f64;
    #[doc(hidden)]
    fn of_index(index: i64) -> Self;
}

/// Elements with a fraction: `f32` and `f64`.
///
/// Only this crate implements it.
pub trait Float: Number {
    #[doc(hidden)]
    fn root(self) -> Self;
}

macro_rules! element {
    ($($type:ident $kind:literal),*) => {
        $(
            impl sealed::Sealed for $type {}

            impl Element for $type {
                const KIND: &'static str = $kind;

                #[cfg(feature = "hdf5")]
                fn read_hdf5(
                    dataset: &hdf5_reader::Dataset,
                    slice: &hdf5_reader::SliceInfo,
                ) -> Result<ndarray::ArrayD<Self>, hdf5_reader::error::Error> {
                    dataset.read_slice(slice)
                }

                #[cfg(feature = "hdf5")]
                fn check_hdf5(kind: &hdf5_reader::Datatype) -> Result<(), hdf5_reader::error::Error> {
                    <Self as hdf5_reader::H5Type>::from_bytes(&[0; size_of::<Self>()], kind)?;
                    Ok(())
                }

                #[cfg(feature = "netcdf")]
                fn read_netcdf(
                    file: &netcdf_reader::NcFile,
                    variable: &str,
                    slice: &netcdf_reader::NcSliceInfo,
                ) -> Result<ndarray::ArrayD<Self>, netcdf_reader::Error> {
                    file.read_variable_slice(variable, slice)
                }

                #[cfg(feature = "netcdf")]
                fn check_netcdf(kind: &netcdf_reader::NcType) -> Result<(), netcdf_reader::Error> {
                    let own = <Self as netcdf_reader::classic::data::NcReadType>::nc_type();
                    if *kind == own { Ok(()) } else { Err(other_type(kind, &format!("{own:?}"))) }
                }
            }
        )*
    };
}

element!(i8 "i1", i16 "i2", i32 "i4", i64 "i8", u8 "u1", u16 "u2", u32 "u4", u64 "u8", f32 "f4", f64 "f8");

impl sealed::Sealed for bool {}

impl Element for bool {
    const KIND: &'static str = "b1";

    #[cfg(feature = "hdf5")]
    fn read_hdf5(
        dataset: &hdf5_reader::Dataset,
        _: &hdf5_reader::SliceInfo,
    ) -> Result<ndarray::ArrayD<Self>, hdf5_reader::error::Error> {
        Self::check_hdf5(dataset.dtype())?;
        Ok(ndarray::ArrayD::default(ndarray::IxDyn(&[0])))
    }

    /// HDF5 has no type for it.
    #[cfg(feature = "hdf5")]
    fn check_hdf5(kind: &hdf5_reader::Datatype) -> Result<(), hdf5_reader::error::Error> {
        Err(hdf5_reader::error::Error::TypeMismatch {
            expected: "bool".to_owned(),
            actual: format!("{kind:?}"),
        })
    }

    #[cfg(feature = "netcdf")]
    fn read_netcdf(
        file: &netcdf_reader::NcFile,
        variable: &str,
        _: &netcdf_reader::NcSliceInfo,
    ) -> Result<ndarray::ArrayD<Self>, netcdf_reader::Error> {
        Self::check_netcdf(file.variable(variable)?.dtype())?;
        Ok(ndarray::ArrayD::default(ndarray::IxDyn(&[0])))
    }

    /// netCDF has no type for it.
    #[cfg(feature = "netcdf")]
    fn check_netcdf(kind: &netcdf_reader::NcType) -> Result<(), netcdf_reader::Error> {
        Err(other_type(kind, "bool"))
    }
}

#[cfg(feature = "netcdf")]
fn other_type(kind: &netcdf_reader::NcType, expected: &str) -> netcdf_reader::Error {
    netcdf_reader::Error::TypeMismatch {
        expected: expected.to_owned(),
        actual: format!("{kind:?}"),
    }
}

macro_rules! common {
    ($sum:ident $mean:ident $wide:ident) => {
        type Sum = $sum;
        type Mean = $mean;
        type Wide = $wide;

        fn widen(self) -> $wide {
            self as $wide
        }

        fn sum_of(wide: $wide) -> $sum {
            wide as $sum
        }

        fn mean_of(mean: f64) -> $mean {
            mean as $mean
        }

        fn as_f64(self) -> f64 {
            self as f64
        }

        fn of_index(index: i64) -> Self {
            index as Self
        }
    };
}

macro_rules! integers {
    ($($type:ident $sum:ident),*) => {
        $(
            impl Number for $type {
                const LEAST: Self = Self::MIN;
                const GREATEST: Self = Self::MAX;

                common!($sum f64 $sum);

                fn plus(self, other: Self) -> Self {
                    self.wrapping_add(other)
                }

                fn minus(self, other: Self) -> Self {
                    self.wrapping_sub(other)
                }

                fn times(self, other: Self) -> Self {
                    self.wrapping_mul(other)
                }

                fn over(self, other: Self) -> Self {
                    self.wrapping_div(other)
                }

                fn is_nan_value(self) -> bool {
                    false
                }
            }
        )*
    };
}

integers!(i8 i64, i16 i64, i32 i64, i64 i64, u8 u64, u16 u64, u32 u64, u64 u64);

macro_rules! floats {
    ($($type:ident),*) => {
        $(
            impl Number for $type {
                const LEAST: Self = Self::NEG_INFINITY;
                const GREATEST: Self = Self::INFINITY;

                common!($type $type f64);

                fn plus(self, other: Self) -> Self {
                    self + other
                }

                fn minus(self, other: Self) -> Self {
                    self - other
                }

                fn times(self, other: Self) -> Self {
                    self * other
                }

                fn over(self, other: Self) -> Self {
                    self / other
                }

                fn is_nan_value(self) -> bool {
                    self.is_nan()
                }
            }

            impl Float for $type {
                fn root(self) -> Self {
                    self.sqrt()
                }
            }
        )*
    };
}

floats!(f32, f64);
