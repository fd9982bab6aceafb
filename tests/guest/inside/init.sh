#!/bin/busybox sh
# The guest's first process: a root in memory that can be left, then the cases.
b=/bin/busybox
$b mount -t tmpfs -o size=80% tmpfs /new
$b tar -xf /root.tar -C /new
$b rm /root.tar
for part in proc sys dev; do $b mkdir -p /new/$part; done
$b mount -t devtmpfs dev /new/dev
exec $b switch_root -c /dev/console /new /bin/sh -c '
mount -t proc proc /proc
mount -t sysfs sys /sys
mkdir -p /dev/pts /dev/shm /run
mount -t devpts devpts /dev/pts
mount -t tmpfs tmpfs /dev/shm
for module in overlay loop; do insmod /opt/modules/$module.ko; done
ip link set lo up
stty -F /dev/ttyS1 raw
PYTHONPATH=/opt /bin/python3 -S -B /opt/inside/run.py
poweroff -f'
