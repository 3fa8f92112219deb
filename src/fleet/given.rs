//! What of the room of the servers is given to clients and not used yet, kept in the store: the same room is never given twice,
//! also where the client that it was given to is not heard of for a while.

use redis::Pipeline;

use super::keys::KEPT_MS;

/// Sets what a client is given beyond what it had when the server spoke, and the sum of all. Arguments: the client, what it wants,
/// what it was given before and may keep, the room, how long a new key lives. Answers what it has now.
///
/// One step of the store, so that two that ask at once do not get the same.
const GIVE: &str = "\
local sum = redis.call('HGET', KEYS[1], '')
local had = tonumber(redis.call('HGET', KEYS[1], ARGV[1]) or 0)
local others = tonumber(sum or 0) - had
local left = math.max(tonumber(ARGV[3]), tonumber(ARGV[4]) - others)
local now = math.max(0, math.min(tonumber(ARGV[2]), left))
redis.call('HSET', KEYS[1], ARGV[1], string.format('%.0f', now))
redis.call('HSET', KEYS[1], '', string.format('%.0f', others + now))
if not sum then redis.call('PEXPIRE', KEYS[1], ARGV[5]) end
return now";

/// More than any server holds, and exact in the store's numbers.
const MOST: u64 = 1 << 52;

/// What a client asks for, connections beyond those that it had when the server spoke.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ask {
    pub(super) wants: u64,
    /// What it was given before.
    pub(super) keeps: u64,
    /// What the servers had left for all together when they spoke.
    pub(super) room: u64,
}

/// Asks for it; the answer is what the client has of it.
pub(super) fn ask(pipe: &mut Pipeline, key: &str, id: &str, of: Ask) {
    pipe.cmd("EVAL").arg(GIVE).arg(1).arg(key).arg(id);
    for connections in [of.wants, of.keeps, of.room] {
        pipe.arg(connections.min(MOST));
    }
    pipe.arg(KEPT_MS);
}

/// A client gives back what it was given.
pub(super) fn give_back(pipe: &mut Pipeline, key: &str, id: &str) {
    ask(pipe, key, id, Ask { wants: 0, keeps: 0, room: 0 });
    pipe.ignore();
}
