// Node's own cluster: runs the program argv[2] as so many workers as argv[3] says.
const cluster = require('cluster');
cluster.setupPrimary({ exec: process.argv[2] });
for (let n = Number(process.argv[3]); n > 0; n--) cluster.fork();
