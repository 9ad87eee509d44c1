// Read before a program of others' (node --import): what it serves, it serves to this machine only.
//
// The playground has no setting for where it listens.

import net from 'node:net';

const { listen } = net.Server.prototype;

net.Server.prototype.listen = function onLoopback(port, ...given) {
  return listen.call(this, port, '127.0.0.1', ...given.filter((one) => typeof one === 'function'));
};
