//! The one thing cryptoki cannot name: CKM_AES_KEY_WRAP_KWP (0x210B, PKCS#11 v3.0, 6.13.4), which newer tokens offer instead of
//! CKM_AES_KEY_WRAP_PAD (0x210A).
#![expect(
    unsafe_code,
    reason = "cryptoki's MechanismType has no public constructor for standard numbers it does not list"
)]

use cryptoki::mechanism::vendor_defined::VendorDefinedMechanism;
use cryptoki::mechanism::{Mechanism, MechanismType};

const CKM_AES_KEY_WRAP_KWP: cryptoki_sys::CK_MECHANISM_TYPE = 0x210B;

/// Number of CKM_AES_KEY_WRAP_KWP as cryptoki's type.
pub(super) fn kwp_type() -> MechanismType {
    const { assert!(size_of::<MechanismType>() == size_of::<cryptoki_sys::CK_MECHANISM_TYPE>()) };
    // SAFETY: MechanismType is repr(transparent) over CK_MECHANISM_TYPE, any value of which is valid.
    unsafe { std::mem::transmute::<cryptoki_sys::CK_MECHANISM_TYPE, MechanismType>(CKM_AES_KEY_WRAP_KWP) }
}

/// CKM_AES_KEY_WRAP_KWP without parameter.
pub(super) fn kwp() -> Mechanism<'static> {
    Mechanism::VendorDefined(VendorDefinedMechanism::new::<()>(kwp_type(), None))
}
