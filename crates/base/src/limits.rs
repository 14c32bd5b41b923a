//! Hard limits of the formats. Settings may be stricter, never looser.

/// Longest payload of one log frame, in bytes. A frame that claims more is damaged.
pub const MAX_FRAME_PAYLOAD_BYTES: usize = 4 << 20;

/// A commit larger than this goes into the log in parts of about this size, in bytes.
pub const BATCH_PART_BYTES: usize = 1 << 20;

/// Most dimensions of a vector.
pub const MAX_DIMENSION: usize = 65_536;

/// Most bytes of one row's encoded metadata.
pub const MAX_METADATA_BYTES: usize = 1 << 20;

/// Most bytes of a path.
pub const MAX_PATH_BYTES: usize = 4096;

/// Most properties of a store. Every manifest holds all of them.
pub const MAX_PROPERTIES: usize = 64;

/// Most bytes of a property's name.
pub const MAX_PROPERTY_NAME_BYTES: usize = 64;

/// Most bytes of a property's value.
pub const MAX_PROPERTY_BYTES: usize = 256 << 10;

/// Most places in the change feed that are pinned by name. Every manifest holds all of them.
pub const MAX_CHANGE_PINS: usize = 64;

/// Most bytes that all prepared transactions without a decision take together: every manifest holds them.
pub const MAX_PREPARED_BYTES: u64 = 64 << 20;

/// Most rows of a segment, so that an ordinal fits 32 bits with room for a mark.
pub const MAX_SEGMENT_ROWS: usize = u32::MAX as usize - 1;

/// Alignment of sections and bulk arrays in files, in bytes: a cache line, and a 512-bit register.
pub const SECTION_ALIGNMENT: usize = 64;

// The largest row has to fit one frame, with room for its head.
const _: () = assert!(MAX_DIMENSION * 4 + MAX_METADATA_BYTES + (64 << 10) < MAX_FRAME_PAYLOAD_BYTES);
