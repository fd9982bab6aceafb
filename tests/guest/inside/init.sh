#!/bin/busybox sh
# The guest's first process: a root in memory that can be left, then the cases, or systemd first.
b=/bin/busybox
$b mount -t tmpfs -o size=80% tmpfs /new
$b tar -xf /root.tar -C /new
$b rm /root.tar
for part in proc sys dev run; do $b mkdir -p /new/$part; done
$b mkdir /proc
$b mount -t proc proc /proc
$b grep -q guest.init=systemd /proc/cmdline && systemd=yes
$b umount /proc
$b mount -t devtmpfs dev /new/dev
if [ -n "$systemd" ]; then
  exec $b switch_root -c /dev/console /new /usr/lib/systemd/systemd
fi
exec $b switch_root -c /dev/console /new /bin/sh -c '
mount -t proc proc /proc
mount -t sysfs sys /sys
exec sh /opt/inside/cases.sh'
