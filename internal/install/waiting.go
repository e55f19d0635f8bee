package install

import "context"

// Waiting are the sockets that listen for an app whose service does not run: it
// starts with the first connection. There are none if it failed, or is on its way.
func (m *Machine) Waiting(ctx context.Context, name string) ([]string, error) {
	have, err := m.find(name)
	if err != nil || have.service == nil {
		return nil, err
	}
	service, err := m.Manager.Unit(ctx, name+".service")
	if err != nil || service.Active != "inactive" {
		return nil, err
	}
	var listen []string
	for _, socket := range unitNames(have.sockets) {
		unit, err := m.Manager.Unit(ctx, socket)
		if err != nil {
			return nil, err
		}
		if unit.Active == "active" {
			listen = append(listen, socket)
		}
	}
	return listen, nil
}
