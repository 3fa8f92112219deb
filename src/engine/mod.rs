//! What server and client engines share.
