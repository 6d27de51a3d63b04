#!/bin/sh -eu
# The first process of a host: makes a machine of its own out of this one, then keeps sshd running and buries the dead.
# Runs in fresh namespaces (mount, process, network, name): whatever it makes vanishes with it.
#   host.sh NAME DIRECTORY HIDDEN UID    DIRECTORY: holds the host's keys and configuration; HIDDEN: what the host must not see
name=$1 directory=$2 hidden=$3 uid=$4

hostname "$name"
mount --make-rprivate /
scratch=$directory/mount
mkdir "$scratch"
mount -t tmpfs -o mode=755 none "$scratch"
mkdir "$scratch/upper" "$scratch/work" "$scratch/root"
mount -t overlay -o "lowerdir=/,upperdir=$scratch/upper,workdir=$scratch/work" overlay "$scratch/root"
mkdir "$scratch/root/etc/host"
cp "$directory"/[!lms]* "$directory/sshd_config" "$scratch/root/etc/host"
cp -r "$directory/supervisor" "$scratch/root/opt/supervisor"
cd "$scratch/root"

mount -t proc proc proc
mkdir -p var/lib/apb
for place in root run home var/lib/apb ".$hidden"; do
  [ ! -d "$place" ] || mount -t tmpfs -o mode=755 none "$place"
done
for place in tmp var/tmp; do mount -t tmpfs -o mode=1777 none "$place"; done
mount -t tmpfs -o mode=755 none dev
for device in null zero full random urandom tty; do
  touch "dev/$device"
  mount --bind "/dev/$device" "dev/$device"
done
mkdir dev/pts dev/shm run/sshd
mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5 devpts dev/pts
mount -t tmpfs -o mode=1777 none dev/shm
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd

pivot_root . mnt
umount -l /mnt
cd /

# Users of the host and of the machine around it never share a number: tests there end processes by it.
printf 'SYS_UID_MIN %s\nSYS_UID_MAX %s\nSYS_GID_MIN %s\nSYS_GID_MAX %s\n' $((uid + 1)) $((uid + 99)) $((uid + 1)) $((uid + 99)) >>/etc/login.defs
useradd --uid "$uid" --create-home --shell /bin/sh ops
chpasswd </etc/host/password
rm /etc/host/password
printf 'Defaults:ops !lecture\nops ALL=(ALL) ALL\n' >/etc/sudoers.d/ops
chmod 0440 /etc/sudoers.d/ops
install -d -m 0700 -o ops /home/ops/.ssh
install -m 0600 -o ops /etc/host/authorized_keys /home/ops/.ssh/authorized_keys
ln -s /opt/supervisor/supervisord /usr/local/bin/supervisord
chmod 0600 /etc/host/host_key
ip link set lo up

while :; do
  [ -e /run/down ] || /usr/sbin/sshd -D -f /etc/host/sshd_config || true
  sleep 0.05
done
