"""The commands a tenant of a shared Redis may use, each reviewed: what it can touch is named by K (a key), C (a channel),
P (a pattern of channels, of which there is one that may be used), or nothing.

One line per command of Redis 7.0 to 8.2 with the arguments that let the server find every key, so that a test can put another tenant's
in each place. A command that the role allows and that is missing here fails the tests: whoever adds it says by its line what it touches.
"""

# Nothing but the connection itself, the clock, or what every Redis of the version answers alike.
OWN = """
acl|whoami
client|getname
client|id
client|info
client|no-touch off
client|reply on
client|setinfo lib-name app
client|setname app
command|count
command|docs
command|getkeys get a
command|getkeysandflags get a
command|help
command|info
command|list
discard
echo hello
exec
multi
object|help
ping
punsubscribe
sunsubscribe
time
unsubscribe
unwatch
xgroup|help
xinfo|help
"""

# The server knows these before anybody has logged in, and lets everybody use them: logging in, and ending the connection.
WITHOUT_LOGIN = {"auth", "hello", "quit", "reset"}

READING = """
bitcount K
bitfield_ro K GET u8 0
bitpos K 1
dump K
exists K K
expiretime K
geodist K a b
geohash K a
geopos K a
georadius_ro K 0 0 1 km
georadiusbymember_ro K a 1 km
geosearch K FROMMEMBER a BYRADIUS 1 km
get K
getbit K 0
getrange K 0 1
hexists K f
hexpiretime K FIELDS 1 f
hget K f
hgetall K
hkeys K
hlen K
hmget K f
hpexpiretime K FIELDS 1 f
hpttl K FIELDS 1 f
hrandfield K
hscan K 0
hstrlen K f
httl K FIELDS 1 f
hvals K
lcs K K
lindex K 0
llen K
lpos K a
lrange K 0 1
mget K K
object|encoding K
object|freq K
object|idletime K
object|refcount K
pexpiretime K
pttl K
scard K
sdiff K K
sinter K K
sintercard 2 K K
sismember K a
smembers K
smismember K a
srandmember K
sscan K 0
strlen K
substr K 0 1
sunion K K
touch K K
ttl K
type K
watch K K
xinfo|consumers K g
xinfo|groups K
xinfo|stream K
xlen K
xpending K g
xrange K - +
xread COUNT 1 STREAMS K K 0 0
xrevrange K + -
zcard K
zcount K 0 1
zdiff 2 K K
zinter 2 K K
zintercard 2 K K
zlexcount K - +
zmscore K a
zrandmember K
zrange K 0 1
zrangebylex K - +
zrangebyscore K 0 1
zrank K a
zrevrange K 0 1
zrevrangebylex K + -
zrevrangebyscore K 1 0
zrevrank K a
zscan K 0
zscore K a
zunion 2 K K
"""

LISTENING = """
psubscribe P P
ssubscribe C C
subscribe C C
"""

# pfcount keeps what it counted in the key: the server wants the right to write for it.
WRITING = """
append K a
bitfield K SET u8 0 1
bitop AND K K K
blmove K K LEFT LEFT 1
blmpop 1 2 K K LEFT
blpop K K 1
brpop K K 1
brpoplpush K K 1
bzmpop 1 2 K K MIN
bzpopmax K K 1
bzpopmin K K 1
copy K K
decr K
decrby K 1
del K K
expire K 1
expireat K 1
geoadd K 0 0 a
georadius K 0 0 1 km STORE K
georadiusbymember K a 1 km STOREDIST K
geosearchstore K K FROMMEMBER a BYRADIUS 1 km
getdel K
getex K
getset K a
hdel K f
hexpire K 1 FIELDS 1 f
hexpireat K 1 FIELDS 1 f
hgetdel K FIELDS 1 f
hgetex K FIELDS 1 f
hincrby K f 1
hincrbyfloat K f 1
hmset K f a
hpersist K FIELDS 1 f
hpexpire K 1 FIELDS 1 f
hpexpireat K 1 FIELDS 1 f
hset K f a
hsetex K FIELDS 1 f a
hsetnx K f a
incr K
incrby K 1
incrbyfloat K 1
linsert K BEFORE a b
lmove K K LEFT LEFT
lmpop 2 K K LEFT
lpop K
lpush K a
lpushx K a
lrem K 0 a
lset K 0 a
ltrim K 0 1
mset K a K a
msetnx K a K a
persist K
pexpire K 1
pexpireat K 1
pfadd K a
pfcount K K
psetex K 1 a
rename K K
renamenx K K
rpop K
rpoplpush K K
rpush K a
rpushx K a
sadd K a
sdiffstore K K K
set K a
setbit K 0 1
setex K 1 a
setnx K a
setrange K 0 a
sinterstore K K K
smove K K a
spop K
srem K a
sunionstore K K K
unlink K K
xack K g 0-1
xackdel K g IDS 1 0-1
xadd K * f a
xautoclaim K g c 0 0-0
xclaim K g c 0 0-1
xdel K 0-1
xdelex K IDS 1 0-1
xgroup|create K g $ MKSTREAM
xgroup|createconsumer K g c
xgroup|delconsumer K g c
xgroup|destroy K g
xgroup|setid K g 0
xreadgroup GROUP g c STREAMS K K > >
xsetid K 0-1
xtrim K MAXLEN 1
zadd K 0 a
zdiffstore K 2 K K
zincrby K 1 a
zinterstore K 2 K K
zmpop 2 K K MIN
zpopmax K
zpopmin K
zrangestore K K 0 1
zrem K a
zremrangebylex K - +
zremrangebyrank K 0 1
zremrangebyscore K 0 1
zunionstore K 2 K K
publish C hello
spublish C hello
"""


def lines_of(*tables):
    """{command: its line as a list of words}"""
    lines = [line.split() for table in tables for line in table.strip().splitlines()]
    return {line[0]: line for line in lines}


REVIEWED = {
    "readwrite": lines_of(OWN, READING, LISTENING, WRITING),
    "read": lines_of(OWN, READING, LISTENING),
}
