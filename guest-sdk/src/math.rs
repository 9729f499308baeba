//! Functions whose last bit does not depend on the machine.
//!
//! IEEE 754 fixes what `+`, `-`, `*`, `/`, the square root and the conversions give, and leaves the rest open. The standard
//! library takes `f64::ln` and its kin from the C library of the platform, which rounds as it likes: the same row could get
//! one value in a component and another in the author's native test. These functions are compiled into the plugin from one
//! source, the crate `libm`, a port of musl's, wherever it runs.
//!
//! ```
//! use oast_sdk::math;
//!
//! assert_eq!(math::exp(1.0).to_bits(), 0x4005_bf0a_8b14_576a);
//! assert_eq!(math::ln_1p(-1.0), f64::NEG_INFINITY);
//! ```

pub use libm::{
    acos, asin, atan, atan2, cbrt, cos, exp, exp2, expm1 as exp_m1, hypot, log as ln, log1p as ln_1p, log2, log10, pow,
    sin, sincos as sin_cos, tan, tanh,
};
