package systemd

import (
	"context"
	"encoding/hex"
	"fmt"
	"time"
)

// Unit is what the manager knows of a unit.
type Unit struct {
	Name        string
	Load        string // loaded, not-found, masked, bad-setting, error
	LoadError   string // why it is not loaded, in the manager's words
	Active, Sub string
	FileState   string // enabled, disabled, static, ...
	Fragment    string // the unit file; empty when there is none
	DropIns     []string
	NeedsReload bool      // its files changed since they were read
	Result      string    // of a socket or service: success, or what failed
	Status      string    // of a service: what it said last
	Restarts    int       // of a service, by the manager itself
	Since       time.Time // Active or Sub changed
	ActiveSince time.Time // it became active; zero if it never did
	Triggers    []string  // of a socket: what it starts
	Needs       []string  // what it cannot start without: Requires=, Requisite= and BindsTo=
	Account     string    // of a service: whom it is to run as, by name or number; empty when nothing says so
	Dynamic     bool      // and it may be one that exists while it runs
	Invocation  string    // of its last start, or of the one under way
	Listen      []Listen  // of a socket
	FDName      string    // of a socket: what its descriptors are called
	StoreMax    int       // of a service: how many descriptors the manager keeps at most
	Stored      int       // and how many it does
	Group       string    // its control group, like /system.slice/app.service; empty when there is none
	MainPID     int       // of a service: 0 when there is none
	ControlPID  int       // of a service's ExecReload= and the like; 0 when there is none
}

// Listen is one address of a socket unit.
type Listen struct{ Kind, Address string } // like Stream, [::]:80

// Unit gives what the manager knows of one unit, also when there is no such unit.
func (m *Manager) Unit(ctx context.Context, name string) (Unit, error) {
	p, err := m.conn.GetAllPropertiesContext(ctx, name)
	if err != nil {
		return Unit{}, m.explain(ctx, "look at "+name, err)
	}
	u := Unit{
		Name: name, Load: str(p["LoadState"]), Active: str(p["ActiveState"]), Sub: str(p["SubState"]),
		FileState: str(p["UnitFileState"]), Fragment: str(p["FragmentPath"]),
		Result: str(p["Result"]), Status: str(p["StatusText"]), FDName: str(p["FileDescriptorName"]),
	}
	restarts, _ := p["NRestarts"].(uint32)
	u.Restarts = int(restarts)
	store, _ := p["FileDescriptorStoreMax"].(uint32)
	stored, _ := p["NFileDescriptorStore"].(uint32)
	main, _ := p["MainPID"].(uint32)
	control, _ := p["ControlPID"].(uint32)
	u.StoreMax, u.Stored, u.MainPID, u.ControlPID, u.Group = int(store), int(stored), int(main), int(control), str(p["ControlGroup"])
	if since, _ := p["StateChangeTimestamp"].(uint64); since != 0 {
		u.Since = time.UnixMicro(int64(since))
	}
	if since, _ := p["ActiveEnterTimestamp"].(uint64); since != 0 {
		u.ActiveSince = time.UnixMicro(int64(since))
	}
	id, _ := p["InvocationID"].([]byte)
	u.Invocation = hex.EncodeToString(id)
	u.DropIns, _ = p["DropInPaths"].([]string)
	u.Triggers, _ = p["Triggers"].([]string)
	for _, kind := range []string{"Requires", "Requisite", "BindsTo"} {
		units, _ := p[kind].([]string)
		u.Needs = append(u.Needs, units...)
	}
	u.Account = str(p["User"])
	u.Dynamic, _ = p["DynamicUser"].(bool)
	u.NeedsReload, _ = p["NeedDaemonReload"].(bool)
	if why, ok := p["LoadError"].([]any); ok && len(why) == 2 {
		u.LoadError = str(why[1])
	}
	pairs, _ := p["Listen"].([][]any)
	for _, pair := range pairs {
		if len(pair) == 2 {
			u.Listen = append(u.Listen, Listen{str(pair[0]), str(pair[1])})
		}
	}
	return u, nil
}

// Listening gives the socket units that listen.
func (m *Manager) Listening(ctx context.Context) ([]Unit, error) {
	list, err := m.conn.ListUnitsByPatternsContext(ctx, []string{"active"}, []string{"*.socket"})
	if err != nil {
		return nil, m.explain(ctx, "list the sockets", err)
	}
	var units []Unit
	for _, status := range list {
		u, err := m.Unit(ctx, status.Name)
		if err != nil {
			return nil, err
		}
		units = append(units, u)
	}
	return units, nil
}

// UnitOf is the unit that a process is of, or nothing.
func (m *Manager) UnitOf(ctx context.Context, pid int) (string, error) {
	name, err := m.conn.GetUnitNameByPID(ctx, uint32(pid))
	if isError(err, "org.freedesktop.systemd1.NoUnitForPID") {
		return "", nil
	}
	if err != nil {
		return "", m.explain(ctx, fmt.Sprintf("the unit of process %d", pid), err)
	}
	return name, nil
}

func str(v any) string { s, _ := v.(string); return s }
