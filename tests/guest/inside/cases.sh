# What is left to do when the machine has a first process; then the cases, and the end.
mkdir -p /dev/pts /dev/shm /run
mountpoint -q /dev/pts || mount -t devpts devpts /dev/pts
mountpoint -q /dev/shm || mount -t tmpfs tmpfs /dev/shm
for module in overlay loop; do insmod /opt/modules/$module.ko; done
ip link set lo up
stty -F /dev/ttyS1 raw
PYTHONPATH=/opt /bin/python3 -S -B /opt/inside/run.py
poweroff -f
